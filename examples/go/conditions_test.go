// SPDX-License-Identifier: MIT

package diffusion

import (
	"context"
	"errors"
	"testing"
)

func TestDatasetConditions(t *testing.T) {
	c := newContext(t)
	shapes, err := NewDescribedShapes(c, 16, 10, 1)
	must(t, err)
	image, vector, err := shapes.Condition(3)
	must(t, err)
	if image != nil || len(vector) != 6 {
		t.Errorf("the conditions are %v and %v", image, vector)
	}
	_, _, err = shapes.Condition(10)
	expect(t, err, ErrNotFound, "")
	_, err = NewDownscaled(shapes, 3)
	expect(t, err, ErrInvalidArgument, "factor")
	_, err = NewDownscaled(nil, 4)
	expect(t, err, ErrInvalidArgument, "nil")
	small, err := NewDownscaled(shapes, 4)
	must(t, err)
	defer small.Close()
	must(t, shapes.Close()) // kept by small
	info, err := small.Info()
	must(t, err)
	if info.ConditionChannels != 3 || info.ConditionSize != 6 {
		t.Errorf("the dataset is %+v", info)
	}
	image, same, err := small.Condition(3)
	must(t, err)
	equal(t, "vector", same, vector)
	if len(image) != 16*16*3 {
		t.Errorf("the image has %d bytes", len(image))
	}
}

// Conditions in memory and from a source are the same.
func TestConditionSources(t *testing.T) {
	c := newContext(t)
	const n, size = side * side, side * side * 3
	images := smallImages()
	count := int(images.Count)
	images.ConditionChannels, images.ConditionSize, images.VectorInvariant = 1, 2, true
	images.ConditionImages = make([]uint8, count*n)
	images.ConditionVectors = make([]float32, count*2)
	for i := range images.ConditionImages {
		images.ConditionImages[i] = uint8(i % 241)
	}
	for i := range images.ConditionVectors {
		images.ConditionVectors[i] = float32(i) / 16
	}
	memory, err := NewDataset(c, images)
	must(t, err)
	defer memory.Close()
	from := &ImageSource{Height: side, Width: side, Channels: 3, Count: images.Count, Classes: 10,
		ConditionChannels: 1, ConditionSize: 2, VectorInvariant: true,
		Read: func(index uint64, pixels []uint8) (int32, error) {
			copy(pixels, images.Pixels[int(index)*size:])
			return images.Labels[index], nil
		}}
	_, err = NewDatasetFromSource(c, from)
	expect(t, err, ErrInvalidArgument, "ReadCondition")
	failure := errors.New("no condition")
	from.ReadCondition = func(index uint64, image []uint8, vector []float32) error {
		if index == 1 {
			return failure
		}
		copy(image, images.ConditionImages[int(index)*n:])
		copy(vector, images.ConditionVectors[int(index)*2:])
		return nil
	}
	source, err := NewDatasetFromSource(c, from)
	must(t, err)
	defer source.Close()
	for _, d := range []*Dataset{memory, source} {
		info, err := d.Info()
		must(t, err)
		image, vector, err := d.Condition(2)
		must(t, err)
		equal(t, "image", image, images.ConditionImages[2*n:3*n])
		equal(t, "vector", vector, images.ConditionVectors[4:6])
		if !info.VectorInvariant {
			t.Errorf("the dataset is %+v", info)
		}
	}
	if _, _, err = source.Condition(1); !errors.Is(err, failure) {
		t.Errorf("the error is %v", err)
	}
}

func TestConditionedRuns(t *testing.T) {
	c := newContext(t)
	u := freshUNet(t, c, func(o *UNetOptions) { o.ConditionSize, o.ConditionChannels = 2, 1 })
	must(t, u.Initialize(InitializationTorch, 3))
	s, err := NewSchedule(c, nil)
	must(t, err)
	defer s.Close()
	options := DefaultSamplerOptions()
	options.Steps = 2
	sampler, err := NewSampler(u, s, &options)
	must(t, err)
	image, vector := make([]float32, side*side), []float32{1, -2}
	for i := range image {
		image[i] = 1
	}
	request := DefaultSamplerRequest()
	plain, err := sampler.Run(context.Background(), &request)
	must(t, err)
	request.ConditionImage, request.ConditionVector = image, vector
	given, err := sampler.Run(context.Background(), &request)
	must(t, err)
	if given[0] == plain[0] {
		t.Error("conditions change nothing")
	}
	run, err := sampler.Start(&request)
	must(t, err)
	for left := 1; left > 0; {
		left, err = run.Step()
		must(t, err)
	}
	held, err := run.Finish()
	must(t, err)
	equal(t, "held run", held, given)
	request.ConditionImage = vector
	_, err = sampler.Run(context.Background(), &request)
	expect(t, err, ErrShapeMismatch, "")
	must(t, run.Close())
	must(t, sampler.Close())

	training := smallTraining()
	training.LearningRate = 0
	trainer, err := NewTrainer(u, s, nil, &training)
	must(t, err)
	defer trainer.Close()
	count := int(training.BatchSize * training.Accumulation)
	batch := &TrainBatch{Count: uint64(count), Images: make([]float32, count*side*side*3),
		Noise: make([]float32, count*side*side*3), Timesteps: make([]int32, count)}
	first, err := trainer.StepBatch(batch)
	must(t, err)
	batch.ConditionVector = make([]float32, count*2)
	batch.ConditionVector[0] = 2
	second, err := trainer.StepBatch(batch)
	must(t, err)
	if first.Loss == second.Loss {
		t.Error("a condition does not change the loss")
	}
	batch.ConditionImage = vector
	_, err = trainer.StepBatch(batch)
	expect(t, err, ErrShapeMismatch, "")
}

func TestDenoiserConditions(t *testing.T) {
	c := newContext(t)
	s, err := NewSchedule(c, nil)
	must(t, err)
	defer s.Close()
	d := DefaultDenoiser()
	d.Prediction, d.Height, d.Width, d.Channels = PredictX0, 4, 4, 1
	d.ConditionChannels, d.ConditionSize = 1, 1
	d.Evaluate = func(input *DenoiserInput, output []float32) error {
		if len(input.ConditionVector) != 1 || input.ConditionVector[0] != 0.5 {
			return errors.New("another vector")
		}
		copy(output, input.ConditionImage)
		return nil
	}
	options := DefaultSamplerOptions()
	options.Steps = 3
	sampler, err := NewSamplerWithDenoiser(c, s, &d, &options)
	must(t, err)
	defer sampler.Close()
	request := DefaultSamplerRequest()
	request.ConditionImage, request.ConditionVector = make([]float32, 16), []float32{0.5}
	request.ConditionImage[3] = 0.25
	images, err := sampler.Run(context.Background(), &request)
	must(t, err)
	if images[3] < 0.249 || images[3] > 0.251 {
		t.Errorf("the pixel is %v", images[3])
	}
}

func TestDistillation(t *testing.T) {
	w := newWorld(t)
	w.trainer.Close()
	training := smallTraining()
	training.DistillSteps, training.LabelDropout = 4, 0
	training.LossWeight = LossWeightTruncatedSNR
	trainer, err := NewTrainer(w.unet, w.schedule, w.dataset, &training)
	must(t, err)
	defer trainer.Close()
	_, err = trainer.Step()
	expect(t, err, ErrWrongState, "teacher")
	if err := trainer.SetTeacher(freshUNet(t, newContext(t), func(*UNetOptions) {})); err == nil {
		t.Error("a teacher of another context is taken")
	}
	network := smallNetwork()
	teacher, err := NewUNet(w.context, &network, 1)
	must(t, err)
	must(t, trainer.SetTeacher(teacher))
	expect(t, trainer.SetTeacher(teacher), ErrWrongState, "teacher")
	expect(t, trainer.SetTeacher(nil), ErrInvalidArgument, "nil")
	must(t, teacher.Close()) // kept by the library
	if stats, err := trainer.Step(); err != nil || stats.Loss < 0 {
		t.Errorf("the step is %+v, %v", stats, err)
	}
}
