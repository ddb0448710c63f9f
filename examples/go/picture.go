// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"image"
	"image/color"
	"unsafe"
)

// Picture is uint8 [Height, Width, Channels] with 1 channel (grey), 3 (RGB) or 4 (RGBA, not
// premultiplied). It is an image.Image.
type Picture struct {
	Height, Width, Channels int
	Pixels                  []uint8
}

func newPicture(height, width, channels int32) *Picture {
	return &Picture{int(height), int(width), int(channels),
		make([]uint8, int(height)*int(width)*int(channels))}
}

// PictureFromImage converts an image to 1, 3 or 4 channels. With 1 or 3, transparent pixels keep
// the colour that they would have if they were opaque.
func PictureFromImage(source image.Image, channels int) (*Picture, error) {
	if channels != 1 && channels != 3 && channels != 4 {
		return nil, invalid("image: there must be 1, 3 or 4 channels")
	}
	bounds := source.Bounds()
	p := newPicture(int32(bounds.Dy()), int32(bounds.Dx()), int32(channels))
	to := p.Pixels
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := color.NRGBAModel.Convert(source.At(x, y)).(color.NRGBA)
			if channels == 1 {
				to[0] = color.GrayModel.Convert(color.NRGBA{c.R, c.G, c.B, 255}).(color.Gray).Y
			} else {
				copy(to[:channels], []uint8{c.R, c.G, c.B, c.A})
			}
			to = to[channels:]
		}
	}
	return p, nil
}

// ColorModel is color.NRGBAModel.
func (p *Picture) ColorModel() color.Model { return color.NRGBAModel }

// Bounds starts at (0, 0).
func (p *Picture) Bounds() image.Rectangle { return image.Rect(0, 0, p.Width, p.Height) }

// At returns the color.NRGBA of a pixel; zero outside the picture. With 2 channels or more than 4,
// the first is shown as grey.
func (p *Picture) At(x, y int) color.Color {
	i := (y*p.Width + x) * p.Channels
	if x < 0 || y < 0 || x >= p.Width || y >= p.Height || p.Channels < 1 ||
		i+p.Channels > len(p.Pixels) {
		return color.NRGBA{}
	}
	v := p.Pixels[i : i+p.Channels]
	switch p.Channels {
	case 3:
		return color.NRGBA{v[0], v[1], v[2], 255}
	case 4:
		return color.NRGBA{v[0], v[1], v[2], v[3]}
	}
	return color.NRGBA{v[0], v[0], v[0], 255}
}

// NRGBA returns a copy.
func (p *Picture) NRGBA() *image.NRGBA {
	out := image.NewNRGBA(p.Bounds())
	for y := 0; y < p.Height; y++ {
		for x := 0; x < p.Width; x++ {
			out.SetNRGBA(x, y, p.At(x, y).(color.NRGBA))
		}
	}
	return out
}

// ToU8 returns round((x + 1) * 127.5), clamped to 0 to 255, of each float; NaN gives 0.
func ToU8(images []float32) []uint8 {
	pixels := make([]uint8, len(images))
	if len(images) > 0 {
		C.dm_image_to_u8((*C.uint8_t)(first(pixels)), (*C.float)(first(images)),
			C.size_t(len(images)))
	}
	return pixels
}

// FromU8 returns x / 127.5 - 1 of each value.
func FromU8(pixels []uint8) []float32 {
	images := make([]float32, len(pixels))
	if len(pixels) > 0 {
		C.dm_image_from_u8((*C.float)(first(images)), (*C.uint8_t)(first(pixels)),
			C.size_t(len(pixels)))
	}
	return images
}

// DrawGrid draws images [Count, Height, Width, Channels] as a grid.
func DrawGrid(options *GridOptions, images []uint8) (*Picture, error) {
	if options == nil {
		return nil, invalid("the options are nil")
	}
	o := (*C.dm_image_grid_options)(toC(options))
	defer C.free(unsafe.Pointer(o))
	var height, width C.int32_t
	if status := C.dm_image_grid_size(o, &height, &width); status != C.DM_OK {
		return nil, statusError(status, "image: the options of the grid are out of range")
	}
	if uint64(len(images)) != uint64(o.height)*uint64(o.width)*uint64(o.channels)*options.Count {
		return nil, &Error{Status: ErrShapeMismatch,
			Message: "image: the images are not of the grid's size and number"}
	}
	p := newPicture(int32(height), int32(width), int32(o.channels))
	status := C.dm_image_draw_grid(o, (*C.uint8_t)(first(p.Pixels)), C.size_t(len(p.Pixels)),
		(*C.uint8_t)(first(images)), C.size_t(len(images)))
	if status != C.DM_OK {
		return nil, statusError(status, "")
	}
	return p, nil
}

// withPicture makes a call with a picture, which callbacks may do.
func (c *Context) withPicture(p *Picture,
	f func(c *C.dm_context, pixels *C.uint8_t, bytes C.size_t, h, w, ch C.int32_t) C.dm_status,
) error {
	if p == nil || p.Height != int(int32(p.Height)) || p.Width != int(int32(p.Width)) ||
		p.Channels != int(int32(p.Channels)) {
		return invalid("image: the picture is nil or too large")
	}
	return withContext(c, func(context *C.dm_context) C.dm_status {
		return f(context, (*C.uint8_t)(first(p.Pixels)), C.size_t(len(p.Pixels)),
			C.int32_t(p.Height), C.int32_t(p.Width), C.int32_t(p.Channels))
	})
}

// withContext makes a call that callbacks may make, too.
func withContext(c *Context, f func(*C.dm_context) C.dm_status) error {
	o, err := c.acquire()
	if err != nil {
		return err
	}
	defer o.release()
	return o.gate.doNested(func() C.dm_status { return f((*C.dm_context)(o.pointer)) })
}

// EncodePNG returns the bytes of a PNG file. May be called in callbacks.
func (c *Context) EncodePNG(p *Picture) (bytes []byte, err error) {
	err = c.withPicture(p, func(c *C.dm_context, pixels *C.uint8_t, n C.size_t,
		h, w, ch C.int32_t) C.dm_status {
		var size C.size_t
		status := C.dm_image_encode_png(c, nil, 0, &size, pixels, n, h, w, ch)
		if status == C.DM_OK {
			bytes = make([]byte, size)
			status = C.dm_image_encode_png(c, (*C.uint8_t)(first(bytes)), size, &size, pixels, n,
				h, w, ch)
			bytes = bytes[:size]
		}
		return status
	})
	if err != nil {
		return nil, err
	}
	return bytes, nil
}

// WritePNG writes a PNG file. May be called in callbacks.
func (c *Context) WritePNG(path string, p *Picture) error {
	if err := checkText("the path", path); err != nil {
		return err
	}
	var a arena
	defer a.free()
	name := a.text(path)
	return fileError(c.withPicture(p, func(c *C.dm_context, pixels *C.uint8_t, n C.size_t,
		h, w, ch C.int32_t) C.dm_status {
		return C.dm_image_write_png(c, name, pixels, n, h, w, ch)
	}), path)
}

// WriteAPNG writes frames [Frames, Height, Width, Channels] as an animated PNG that loops for ever.
// May be called in callbacks.
func (c *Context) WriteAPNG(path string, frames []uint8, animation *Animation) error {
	if err := checkText("the path", path); err != nil {
		return err
	}
	if animation == nil {
		return invalid("the animation is nil")
	}
	o := (*C.dm_image_animation)(toC(animation))
	defer C.free(unsafe.Pointer(o))
	var a arena
	defer a.free()
	name := a.text(path)
	return fileError(withContext(c, func(c *C.dm_context) C.dm_status {
		return C.dm_image_write_apng(c, name, (*C.uint8_t)(first(frames)), C.size_t(len(frames)),
			o)
	}), path)
}
