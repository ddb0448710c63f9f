// SPDX-License-Identifier: MIT

package diffusion

import (
	"errors"
	"strings"
	"testing"
)

// must ends the test if err is not nil. It must not be used in callbacks.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expect ends the test unless err has the status and contains the text.
func expect(t *testing.T, err error, status Status, text string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, status) || !strings.Contains(e.Error(), text) {
		t.Fatalf("the error is %v, not %s with %q", err, status.String(), text)
	}
	return e
}

func equal[T comparable](t *testing.T, what string, a, b []T) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%s: %d and %d elements", what, len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("%s: element %d is %v and %v", what, i, a[i], b[i])
		}
	}
}

const side = 8

func newContext(t *testing.T) *Context {
	t.Helper()
	options := DefaultContextOptions()
	options.Threads = 1
	c, err := NewContext(&options)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// smallNetwork is a network for images of 8x8 pixels in ten classes.
func smallNetwork() UNetOptions {
	o := DefaultUNetOptions()
	o.Height, o.Width = side, side
	o.Levels = 2
	o.Channels = [8]int32{32, 32}
	o.Blocks = [8]int32{1, 1}
	o.Attention = [8]bool{}
	o.MidAttention = false
	o.Classes = 10
	return o
}

// smallImages are 12 images of a gradient, with labels.
func smallImages() *ImageArray {
	images := &ImageArray{Height: side, Width: side, Channels: 3, Count: 12,
		Pixels: make([]uint8, 12*side*side*3), Labels: make([]int32, 12)}
	for i := range images.Pixels {
		images.Pixels[i] = uint8(i * 7)
	}
	for i := range images.Labels {
		images.Labels[i] = int32(i % 10)
	}
	return images
}

// world holds one object of each kind.
type world struct {
	context  *Context
	schedule *Schedule
	unet     *UNet
	dataset  *Dataset
	trainer  *Trainer
}

func smallTraining() TrainerOptions {
	o := DefaultTrainerOptions()
	o.BatchSize = 2
	o.LearningRate = 1e-3
	o.LabelDropout = 0.1
	return o
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{context: newContext(t)}
	var err error
	w.schedule, err = NewSchedule(w.context, nil)
	must(t, err)
	network := smallNetwork()
	w.unet, err = NewUNet(w.context, &network, 1)
	must(t, err)
	w.dataset, err = NewDataset(w.context, smallImages())
	must(t, err)
	training := smallTraining()
	w.trainer, err = NewTrainer(w.unet, w.schedule, w.dataset, &training)
	must(t, err)
	t.Cleanup(func() { w.close() })
	return w
}

// close closes parents before children, which must not matter.
func (w *world) close() {
	w.context.Close()
	w.schedule.Close()
	w.unet.Close()
	w.dataset.Close()
	w.trainer.Close()
}

func (w *world) sampler(t *testing.T, guidance float64) *Sampler {
	t.Helper()
	o := DefaultSamplerOptions()
	o.Steps = 4
	o.BatchSize = 2
	o.Guidance = guidance
	s, err := NewSampler(w.unet, w.schedule, &o)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func threeImages() SamplerRequest {
	r := DefaultSamplerRequest()
	r.Count = 3
	r.Seed = 5
	r.Labels = []int32{0, 1, 2}
	return r
}
