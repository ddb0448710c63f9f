// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import "unsafe"

// CheckpointInfo is what a file of this library says about training.
type CheckpointInfo struct {
	Training           bool   // a file of Trainer.Save; of UNet.Save only NullClass is known
	Step               uint64 // steps done
	Images             uint64 // images seen
	DatasetCount       uint64 // images of the dataset; 0: no dataset
	DatasetFingerprint uint64 // as in DatasetInfo
	EMAs               int32  // EMAs in the file: bit i for EMA i
	FormatVersion      int32
	NullClass          bool // labels or conditions were dropped in training, as guidance needs
}

func (*CheckpointInfo) cStruct() string { return "dm_checkpoint_info" }

// LoadCheckpointInfo reads how far the training of a file has come. It has the errors of LoadUNet.
func LoadCheckpointInfo(c *Context, path string) (info CheckpointInfo, err error) {
	p := newC(info.cStruct())
	defer C.free(p)
	err = loadInfo(c, path, nil, (*C.dm_checkpoint_info)(p))
	if err == nil {
		fromC(&info, p)
	}
	return info, err
}

// LoadTrainerOptions reads the options of a file of Trainer.Save.
func LoadTrainerOptions(c *Context, path string) (options TrainerOptions, err error) {
	p := newC(options.cStruct())
	defer C.free(p)
	err = loadInfo(c, path, (*C.dm_trainer_options)(p), nil)
	if err == nil {
		fromC(&options, p)
	}
	return options, err
}

func loadInfo(c *Context, path string, o *C.dm_trainer_options, i *C.dm_checkpoint_info) error {
	if err := checkText("the path", path); err != nil {
		return err
	}
	var a arena
	defer a.free()
	name := a.text(path)
	return fileError(c.get().call(func(p unsafe.Pointer) C.dm_status {
		return C.dm_checkpoint_load_info((*C.dm_context)(p), name, o, i)
	}), path)
}
