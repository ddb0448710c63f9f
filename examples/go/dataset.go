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
	return newDatasetFrom(c.get(), user, func(p unsafe.Pointer, out **C.dm_dataset) C.dm_status {
		return f((*C.dm_context)(p), out)
	})
}

func newDatasetFrom(parent *handle, user cgo.Handle,
	f func(unsafe.Pointer, **C.dm_dataset) C.dm_status) (*Dataset, error) {
	h, err := create("dataset", []*handle{parent},
		func(p []unsafe.Pointer, out *unsafe.Pointer) (C.dm_status, func()) {
			var d *C.dm_dataset
			status := f(p[0], &d)
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

// NewDescribedShapes makes the same images with a condition vector each, [x, y, size, r, g, b] in
// [-1, 1]: centre, radius and colour of the shape.
func NewDescribedShapes(c *Context, size int, count, seed uint64) (*Dataset, error) {
	if int(int32(size)) != size {
		return nil, invalid("dataset: the size is out of range")
	}
	return newDataset(c, 0, func(c *C.dm_context, out **C.dm_dataset) C.dm_status {
		return C.dm_dataset_create_described_shapes(out, c, C.int32_t(size), C.uint64_t(count),
			C.uint64_t(seed))
	})
}

// NewDownscaled makes a dataset for super-resolution: the condition image of each image of source
// is that image with factor times fewer pixels in each direction, enlarged to the old size. factor,
// 2 to 64, must divide height and width. source has no condition images.
func NewDownscaled(source *Dataset, factor int32) (*Dataset, error) {
	return newDatasetFrom(source.get(), 0,
		func(p unsafe.Pointer, out **C.dm_dataset) C.dm_status {
			return C.dm_dataset_create_downscaled(out, (*C.dm_dataset)(p), C.int32_t(factor))
		})
}

// ImageArray is a number of images of equal size.
type ImageArray struct {
	Height, Width, Channels int32   // 1 to 65536, 1 to 65536, 1 to 64
	Count                   uint64  // images
	Pixels                  []uint8 // [Count, Height, Width, Channels]
	Labels                  []int32 // [Count], -1 for none, or nil

	ConditionChannels int32     // of condition images, 0 to 64
	ConditionSize     int32     // floats of condition vectors, 0 to 65536
	VectorInvariant   bool      // vectors stay right when an image is flipped or cropped
	ConditionImages   []uint8   // [Count, Height, Width, ConditionChannels]
	ConditionVectors  []float32 // [Count, ConditionSize], finite

	// One for each class, at least the largest label + 1; nil: none. UTF-8 of 1 to 255 bytes
	// without control characters.
	ClassNames []string
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
	m.condition_image_bytes = C.uint64_t(len(images.ConditionImages))
	m.condition_vector_elements = C.uint64_t(len(images.ConditionVectors))
	var a arena
	defer a.free()
	names, err := a.texts(images.ClassNames)
	if err != nil {
		return nil, err
	}
	m.class_names = names
	m.class_name_count = C.uint64_t(len(images.ClassNames))
	return newDataset(c, 0, func(c *C.dm_context, out **C.dm_dataset) C.dm_status {
		return C.bridge_dataset_from_memory(out, c, m, (*C.uint8_t)(first(images.Pixels)),
			(*C.int32_t)(first(images.Labels)), (*C.uint8_t)(first(images.ConditionImages)),
			(*C.float)(first(images.ConditionVectors)))
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
	// ReadEpoch may be set in place of Read. epoch is, in training, the number of passes over the
	// dataset before this one, so that an image can be cropped in another way each time; else 0.
	ReadEpoch func(index, epoch uint64, pixels []uint8) (label int32, err error)
	// Prefetch, which may be nil, is told which images Read will be asked for next, in that order,
	// so that other goroutines can prepare them: those of the next pass of training. It should
	// return at once, and may not use the context.
	Prefetch func(indices []uint64)

	ClassNames []string // [Classes] as in ImageArray; nil: none

	ConditionChannels int32 // of condition images, 0 to 64
	ConditionSize     int32 // floats of condition vectors, 0 to 65536
	VectorInvariant   bool  // vectors stay right when an image is flipped or cropped
	// ReadCondition, which may be nil without conditions, is called after Read and writes the
	// condition image [Height, Width, ConditionChannels] and vector [ConditionSize] of the same
	// image. Its slices belong to it until it returns.
	ReadCondition func(index uint64, image []uint8, vector []float32) error
}

func (*ImageSource) cStruct() string { return "dm_dataset_callback" }

// NewDatasetFromSource makes a dataset that calls source.Read for each image.
func NewDatasetFromSource(c *Context, source *ImageSource) (*Dataset, error) {
	if source == nil || (source.Read == nil && source.ReadEpoch == nil) {
		return nil, invalid("dataset: Read is nil")
	}
	if source.Read != nil && source.ReadEpoch != nil {
		return nil, invalid("dataset: Read and ReadEpoch are set")
	}
	if source.ReadCondition == nil && (source.ConditionChannels != 0 || source.ConditionSize != 0) {
		return nil, invalid("dataset: ReadCondition is nil")
	}
	o, err := c.acquire()
	if err != nil {
		return nil, err
	}
	defer o.release()
	p := (*C.dm_dataset_callback)(toC(source))
	defer C.free(unsafe.Pointer(p))
	var a arena
	defer a.free()
	p.class_names, err = a.texts(source.ClassNames)
	if err != nil {
		return nil, err
	}
	p.class_name_count = C.uint64_t(len(source.ClassNames))
	r := &reader{gate: o.gate, read: source.ReadEpoch, condition: source.ReadCondition,
		prefetch: source.Prefetch}
	if read := source.Read; read != nil {
		r.read = func(index, _ uint64, pixels []uint8) (int32, error) { return read(index, pixels) }
	}
	user := cgo.NewHandle(r)
	return newDataset(c, user, func(c *C.dm_context, out **C.dm_dataset) C.dm_status {
		return C.bridge_dataset_from_callback(out, c, p, C.uintptr_t(user),
			flag(r.prefetch != nil))
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
	ConditionChannels       int32  // of condition images; 0: there are none
	ConditionSize           int32  // floats of condition vectors; 0: there are none
	VectorInvariant         bool   // vectors stay right when an image is flipped or cropped
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

// Condition returns copies of the conditions of an image: image [Height, Width, ConditionChannels]
// and vector [ConditionSize]; nil where the dataset has none.
func (d *Dataset) Condition(index uint64) (image []uint8, vector []float32, err error) {
	info, err := d.Info()
	if err != nil {
		return nil, nil, err
	}
	bytes := uint64(info.Height) * uint64(info.Width) * uint64(info.ConditionChannels)
	if bytes > imagesMax {
		return nil, nil, invalid("dataset: the image is too large")
	}
	if bytes > 0 {
		image = make([]uint8, bytes)
	}
	if info.ConditionSize > 0 {
		vector = make([]float32, info.ConditionSize)
	}
	err = d.call(func(d *C.dm_dataset) C.dm_status {
		return C.dm_dataset_get_condition(d, C.uint64_t(index), (*C.uint8_t)(first(image)),
			C.size_t(len(image)), (*C.float)(first(vector)), C.size_t(len(vector)))
	})
	if err != nil {
		return nil, nil, err
	}
	return image, vector, nil
}

// ClassName returns "airplane", "circle" and the like, or "" if the label has no name.
func (d *Dataset) ClassName(label int32) (name string) {
	d.get().property(func(p unsafe.Pointer) {
		name = C.GoString(C.dm_dataset_class_name((*C.dm_dataset)(p), C.int32_t(label)))
	})
	return name
}
