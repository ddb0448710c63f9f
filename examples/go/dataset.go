// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// Dataset is a source of images: uint8 [height, width, channels], each with a label or -1.
type Dataset struct{ *handle }

func (d *Dataset) get() *handle {
	if d == nil {
		return nil
	}
	return d.handle
}

func newDataset(c *Context, user cgo.Handle,
	f func(*C.dm_context, **C.dm_dataset) C.dm_status) (*Dataset, error) {
	h, err := create("dataset", []*handle{c.get()},
		func(p []unsafe.Pointer, out *unsafe.Pointer) (C.dm_status, func()) {
			var d *C.dm_dataset
			status := f((*C.dm_context)(p[0]), &d)
			*out = unsafe.Pointer(d)
			return status, func() {
				C.dm_dataset_destroy(d)
				deleteHandle(user)
			}
		})
	if err != nil {
		deleteHandle(user)
		return nil, err
	}
	return &Dataset{h}, nil
}

// LoadCIFAR10 reads the binary version of CIFAR-10: cifar-10-binary.tar.gz as published, or a
// folder with its .bin files or with cifar-10-batches-bin.
func LoadCIFAR10(c *Context, path string, split Split) (*Dataset, error) {
	if err := checkText("the path", path); err != nil {
		return nil, err
	}
	var a arena
	defer a.free()
	name := a.text(path)
	d, err := newDataset(c, 0, func(c *C.dm_context, out **C.dm_dataset) C.dm_status {
		return C.dm_dataset_load_cifar10(out, c, name, C.dm_split(split))
	})
	return d, fileError(err, path)
}

// NewShapes makes a dataset of drawn shapes in ten classes. size is the side in pixels, 16 to 64;
// count the number of images in an epoch. Image i of a seed is always the same.
func NewShapes(c *Context, size int, count, seed uint64) (*Dataset, error) {
	if int(int32(size)) != size {
		return nil, invalid("dataset: the size is out of range")
	}
	return newDataset(c, 0, func(c *C.dm_context, out **C.dm_dataset) C.dm_status {
		return C.dm_dataset_create_shapes(out, c, C.int32_t(size), C.uint64_t(count),
			C.uint64_t(seed))
	})
}

// ImageArray is a number of images of equal size.
type ImageArray struct {
	Height, Width, Channels int32   // 1 to 65536, 1 to 65536, 1 to 64
	Count                   uint64  // images
	Pixels                  []uint8 // [Count, Height, Width, Channels]
	Labels                  []int32 // [Count], -1 for none, or nil
}

func (*ImageArray) cStruct() string { return "dm_dataset_memory" }

// NewDataset makes a dataset from images, which are copied.
func NewDataset(c *Context, images *ImageArray) (*Dataset, error) {
	if images == nil {
		return nil, invalid("the images are nil")
	}
	m := (*C.dm_dataset_memory)(toC(images))
	defer C.free(unsafe.Pointer(m))
	m.copy = 1
	m.pixel_bytes = C.uint64_t(len(images.Pixels))
	m.label_count = C.uint64_t(len(images.Labels))
	return newDataset(c, 0, func(c *C.dm_context, out **C.dm_dataset) C.dm_status {
		return C.bridge_dataset_from_memory(out, c, m, (*C.uint8_t)(first(images.Pixels)),
			(*C.int32_t)(first(images.Labels)))
	})
}

// ImageSource provides images one at a time.
type ImageSource struct {
	Height, Width, Channels int32
	Count                   uint64 // images, 1 to 2^56
	Classes                 int32  // number of labels; 0: none, or not known
	Fingerprint             uint64 // a hash for DatasetInfo; 0: not known
	// Read writes image index to pixels [Height, Width, Channels], which belong to it until it
	// returns, and returns the label, -1 for none. An error stops the work and is wrapped by its
	// error.
	Read func(index uint64, pixels []uint8) (label int32, err error)
}

func (*ImageSource) cStruct() string { return "dm_dataset_callback" }

// NewDatasetFromSource makes a dataset that calls source.Read for each image.
func NewDatasetFromSource(c *Context, source *ImageSource) (*Dataset, error) {
	if source == nil || source.Read == nil {
		return nil, invalid("dataset: Read is nil")
	}
	o, err := c.acquire()
	if err != nil {
		return nil, err
	}
	defer o.release()
	p := (*C.dm_dataset_callback)(toC(source))
	defer C.free(unsafe.Pointer(p))
	user := cgo.NewHandle(&reader{gate: o.gate, read: source.Read})
	return newDataset(c, user, func(c *C.dm_context, out **C.dm_dataset) C.dm_status {
		return C.bridge_dataset_from_callback(out, c, p, C.uintptr_t(user))
	})
}

// Close gives up the dataset; it is destroyed when the trainers that use it are closed, too.
func (d *Dataset) Close() error {
	d.get().close()
	return nil
}

func (d *Dataset) call(f func(*C.dm_dataset) C.dm_status) error {
	return d.get().call(func(p unsafe.Pointer) C.dm_status { return f((*C.dm_dataset)(p)) })
}

// DatasetInfo describes a dataset.
type DatasetInfo struct {
	Classes                 int32  // number of labels; 0: no labels, or not known
	Count                   uint64 // images
	Height, Width, Channels int32
	Fingerprint             uint64 // a hash, which checkpoints keep; 0: not known
}

func (*DatasetInfo) cStruct() string { return "dm_dataset_info" }

// Info describes the dataset.
func (d *Dataset) Info() (info DatasetInfo, err error) {
	p := newC(info.cStruct())
	defer C.free(p)
	err = d.call(func(d *C.dm_dataset) C.dm_status {
		return C.dm_dataset_get_info(d, (*C.dm_dataset_info)(p))
	})
	if err == nil {
		fromC(&info, p)
	}
	return info, err
}

// Image returns a copy of an image and its label, -1 for none.
func (d *Dataset) Image(index uint64) (*Picture, int32, error) {
	info, err := d.Info()
	if err != nil {
		return nil, 0, err
	}
	if uint64(info.Height)*uint64(info.Width)*uint64(info.Channels) > imagesMax {
		return nil, 0, invalid("dataset: the image is too large")
	}
	picture := newPicture(info.Height, info.Width, info.Channels)
	var label C.int32_t
	err = d.call(func(d *C.dm_dataset) C.dm_status {
		return C.dm_dataset_get_image(d, C.uint64_t(index), (*C.uint8_t)(first(picture.Pixels)),
			C.size_t(len(picture.Pixels)), &label)
	})
	if err != nil {
		return nil, 0, err
	}
	return picture, int32(label), nil
}

// ClassName returns "airplane", "circle" and the like, or "" if the label has no name.
func (d *Dataset) ClassName(label int32) (name string) {
	d.get().property(func(p unsafe.Pointer) {
		name = C.GoString(C.dm_dataset_class_name((*C.dm_dataset)(p), C.int32_t(label)))
	})
	return name
}
