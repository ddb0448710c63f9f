// SPDX-License-Identifier: MIT

package diffusion

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestDatasets(t *testing.T) {
	c := newContext(t)
	images := smallImages()
	memory, err := NewDataset(c, images)
	must(t, err)
	defer memory.Close()
	size := side * side * 3
	source, err := NewDatasetFromSource(c, &ImageSource{Height: side, Width: side, Channels: 3,
		Count: 12, Classes: 10, Fingerprint: 77,
		Read: func(index uint64, pixels []uint8) (int32, error) {
			copy(pixels, images.Pixels[int(index)*size:])
			return images.Labels[index], nil
		}})
	must(t, err)
	defer source.Close()
	info, err := source.Info()
	must(t, err)
	if info != (DatasetInfo{Classes: 10, Count: 12, Height: side, Width: side,
		Channels: 3, Fingerprint: 77}) {
		t.Errorf("the dataset is %+v", info)
	}
	for i := uint64(0); i < 12; i++ {
		a, labelA, err := memory.Image(i)
		must(t, err)
		b, labelB, err := source.Image(i)
		must(t, err)
		equal(t, "pixels", a.Pixels, b.Pixels)
		equal(t, "pixels", a.Pixels, images.Pixels[int(i)*size:int(i+1)*size])
		if labelA != images.Labels[i] || labelB != labelA {
			t.Errorf("the labels are %d and %d", labelA, labelB)
		}
	}
	shapes, err := NewShapes(c, 16, 5, 1)
	must(t, err)
	defer shapes.Close()
	if shapes.ClassName(0) == "" || shapes.ClassName(99) != "" {
		t.Error("names of classes")
	}

	// Both train to the same weights.
	var files [2][]byte
	for i, d := range []*Dataset{memory, source} {
		network, training := smallNetwork(), smallTraining()
		u, err := NewUNet(c, &network, 1)
		must(t, err)
		s, err := NewSchedule(c, nil)
		must(t, err)
		trainer, err := NewTrainer(u, s, d, &training)
		must(t, err)
		must(t, trainer.Train(context.Background(), 2, nil))
		files[i], err = u.SaveMemory(s)
		must(t, err)
		trainer.Close()
		u.Close()
		s.Close()
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("the weights differ")
	}
}

func TestSchedule(t *testing.T) {
	c := newContext(t)
	s, err := NewScheduleFromBetas(c, []float64{0.1, 0.2})
	must(t, err)
	defer s.Close()
	a, err := s.Series(SeriesAlphaCumprod)
	must(t, err)
	options, err := s.Options()
	must(t, err)
	if s.Timesteps() != 2 || math.Abs(a[1]-0.72) > 1e-15 || options.Kind != ScheduleCustom {
		t.Errorf("the series is %v, the options %+v", a, options)
	}
	x := []float32{1, 2}
	must(t, s.AddNoise(x, x, []float32{0, 0}, []int32{0, 1}))
	level, err := s.Level(1)
	must(t, err)
	if x[1] != float32(2*level.Signal) {
		t.Errorf("the noised images are %v", x)
	}
	_, err = s.Level(2)
	expect(t, err, ErrInvalidArgument, "")
}

func TestForwardAndEvaluate(t *testing.T) {
	w := newWorld(t)
	n := 2 * side * side * 3
	output := make([]float32, n)
	must(t, w.unet.Forward(make([]float32, n), []float64{1, 2}, []int32{0, -1}, output))
	must(t, w.unet.SetTensor("conv_out.bias", []float32{5, 6, 7}, []int64{3}))
	changed := make([]float32, n)
	must(t, w.unet.Forward(make([]float32, n), []float64{1, 2}, []int32{0, -1}, changed))
	if d := changed[0] - output[0]; d < 4.9 || d > 5.1 {
		t.Errorf("the bias changes the output by %v", d)
	}
	o := DefaultEvaluationOptions()
	o.Count, o.Timesteps = 2, 2
	calls := 0
	e, err := Evaluate(context.Background(), w.unet, w.schedule, w.dataset, &o,
		func(done, total uint64) error { calls++; return nil })
	must(t, err)
	if e.Images != 2 || !(e.Bits > 0) || calls == 0 {
		t.Errorf("the evaluation is %+v", e)
	}
	ctx, stop := context.WithCancel(context.Background())
	_, err = Evaluate(ctx, w.unet, w.schedule, w.dataset, &o,
		func(done, total uint64) error { stop(); return nil })
	expect(t, err, ErrCancelled, "")
	preset, err := UNetPreset(PresetTiny)
	must(t, err)
	if preset.Channels != [8]int32{32, 64, 64} {
		t.Errorf("the preset is %+v", preset)
	}
	_, err = UNetPreset(99)
	expect(t, err, ErrInvalidArgument, "")
}

func TestProfile(t *testing.T) {
	options := DefaultContextOptions()
	options.Threads, options.Profile = 2, true
	c, err := NewContext(&options)
	must(t, err)
	defer c.Close()
	network := smallNetwork()
	u, err := NewUNet(c, &network, 0)
	must(t, err)
	defer u.Close()
	n := side * side * 3
	must(t, u.Forward(make([]float32, n), []float64{1}, nil, make([]float32, n)))
	rows, err := c.ProfileRows()
	must(t, err)
	if len(rows) == 0 || rows[0].Operation == "" || rows[0].Calls == 0 || c.Threads() != 2 {
		t.Errorf("the rows are %+v", rows)
	}
	must(t, c.ResetProfile())
	rows, err = c.ProfileRows()
	must(t, err)
	if len(rows) != 0 {
		t.Errorf("%d rows are left", len(rows))
	}
}

func TestPictures(t *testing.T) {
	c := newContext(t)
	for _, channels := range []int{1, 3, 4} {
		p := newPicture(2, 3, int32(channels))
		for i := range p.Pixels {
			p.Pixels[i] = uint8(40*i + 15)
		}
		file, err := c.EncodePNG(p)
		must(t, err)
		path := filepath.Join(t.TempDir(), "p.png")
		must(t, c.WritePNG(path, p))
		written, err := os.ReadFile(path)
		must(t, err)
		if !bytes.Equal(file, written) {
			t.Error("the file is not the encoded picture")
		}
		decoded, err := png.Decode(bytes.NewReader(file))
		must(t, err)
		for y := 0; y < 2; y++ {
			for x := 0; x < 3; x++ {
				if color.NRGBAModel.Convert(decoded.At(x, y)) != p.At(x, y) {
					t.Errorf("%d channels: pixel %d, %d is %v and %v", channels, x, y,
						decoded.At(x, y), p.At(x, y))
				}
			}
		}
		for _, source := range []image.Image{p, p.NRGBA()} {
			again, err := PictureFromImage(source, channels)
			must(t, err)
			equal(t, "the picture", again.Pixels, p.Pixels)
		}
	}
	if (&Picture{Height: 2, Width: 2, Channels: 3}).At(1, 1) != (color.NRGBA{}) {
		t.Error("a picture without pixels has colours")
	}
	_, err := PictureFromImage(image.NewGray(image.Rect(0, 0, 1, 1)), 2)
	expect(t, err, ErrInvalidArgument, "channels")
	equal(t, "pixels", ToU8([]float32{-1, 0, 1, 9}), []uint8{0, 128, 255, 255})
	equal(t, "floats", FromU8([]uint8{0, 255}), []float32{-1, 1})

	o := DefaultGridOptions()
	o.Height, o.Width, o.Channels, o.Count = 1, 1, 3, 2
	grid, err := DrawGrid(&o, make([]uint8, 6))
	must(t, err)
	if height, width := grid.Height, grid.Width; height != 3 || width < 5 {
		t.Errorf("the grid is %d x %d", grid.Height, grid.Width)
	}
	_, err = DrawGrid(&o, make([]uint8, 5))
	expect(t, err, ErrShapeMismatch, "")
	o.Count = 1 << 62
	if _, err = DrawGrid(&o, make([]uint8, 5)); err == nil {
		t.Error("a huge grid is drawn")
	}

	animation := DefaultAnimation()
	animation.Height, animation.Width, animation.Channels, animation.Frames = 2, 2, 1, 3
	path := filepath.Join(t.TempDir(), "a.png")
	must(t, c.WriteAPNG(path, make([]uint8, 12), &animation))
	expect(t, c.WriteAPNG(path, make([]uint8, 11), &animation), ErrShapeMismatch, "")
	missing := filepath.Join(t.TempDir(), "none", "a.png")
	if c.WriteAPNG(missing, make([]uint8, 12), &animation) == nil {
		t.Error("a file is written to a missing folder")
	}
}
