// SPDX-License-Identifier: MIT

// Walkthrough is the library from end to end on one page: train a small network on drawn shapes,
// cancel, save, load, and draw one image of each class with guidance.
//
//	walkthrough MODEL.safetensors OUT.png
//
// It prints the same lines and writes the same OUT.png as examples/walkthrough.c.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"example.org/diffusion"
)

const (
	size     = 16
	classes  = 10
	steps    = 300
	cancelAt = 350
	columns  = 5
	scale    = 4
)

// showErrors shows what a program sees that passes a bad option, or the name of a missing file.
func showErrors(c *diffusion.Context) {
	options := diffusion.DefaultUNetOptions()
	options.NormGroups = 30
	_, err := diffusion.NewUNet(c, &options, 0)
	printError(err)
	_, err = diffusion.LoadUNet(c, "missing.safetensors", diffusion.WeightsDefault)
	printError(err)
}

func printError(err error) {
	var e *diffusion.Error
	if errors.As(err, &e) {
		fmt.Printf("%s: %s\n", e.Status.String(), e.Message)
	}
}

func train(c *diffusion.Context, path string) error {
	network := diffusion.DefaultUNetOptions()
	network.Height, network.Width = size, size
	network.Levels = 2
	network.Channels = [8]int32{32, 64}
	network.Blocks = [8]int32{1, 1}
	network.Classes = classes
	training := diffusion.DefaultTrainerOptions()
	training.BatchSize = 16
	training.LearningRate = 2e-3
	training.LabelDropout = 0.1 // so that guidance has a network without classes to start from

	schedule, err := diffusion.NewSchedule(c, nil)
	if err != nil {
		return err
	}
	defer schedule.Close()
	shapes, err := diffusion.NewShapes(c, size, 1000, 1)
	if err != nil {
		return err
	}
	defer shapes.Close()
	unet, err := diffusion.NewUNet(c, &network, 1)
	if err != nil {
		return err
	}
	defer unet.Close()
	trainer, err := diffusion.NewTrainer(unet, schedule, shapes, &training)
	if err != nil {
		return err
	}
	defer trainer.Close()

	// The run ends early when ctx is cancelled: here by the program itself, elsewhere by a signal
	// or a time limit.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	onStep := func(stats diffusion.TrainStats) error {
		if stats.Step%50 == 0 {
			fmt.Printf("step %d, loss %.4f\n", stats.Step, stats.Loss)
		}
		if stats.Step >= cancelAt {
			return diffusion.ErrCancelled
		}
		return nil
	}
	if err := trainer.Train(ctx, steps, onStep); err != nil {
		return err
	}
	if err := trainer.Train(ctx, 1000, onStep); errors.Is(err, diffusion.ErrCancelled) {
		step, err := trainer.StepCount()
		if err != nil {
			return err
		}
		fmt.Printf("cancelled after step %d\n", step)
	} else if err != nil {
		return err
	}
	return trainer.Save(path)
}

func sample(c *diffusion.Context, path, picture string) error {
	unet, err := diffusion.LoadUNet(c, path, diffusion.WeightsDefault)
	if err != nil {
		return err
	}
	defer unet.Close()
	schedule, err := diffusion.LoadSchedule(c, path)
	if err != nil {
		return err
	}
	defer schedule.Close()
	options := diffusion.DefaultSamplerOptions()
	options.Steps = 20
	options.Guidance = 2
	sampler, err := diffusion.NewSampler(unet, schedule, &options)
	if err != nil {
		return err
	}
	defer sampler.Close()
	request := diffusion.DefaultSamplerRequest()
	request.Count = classes
	request.Labels = []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	request.Seed = 7
	images, err := sampler.Run(context.Background(), &request)
	if err != nil {
		return err
	}
	return writeImages(c, images, picture)
}

func writeImages(c *diffusion.Context, images []float32, path string) error {
	options := diffusion.DefaultGridOptions()
	options.Height, options.Width, options.Channels = size, size, 3
	options.Columns = columns
	options.Scale = scale
	options.Count = classes
	grid, err := diffusion.DrawGrid(&options, diffusion.ToU8(images))
	if err != nil {
		return err
	}
	return c.WritePNG(path, grid)
}

func run(model, picture string) error {
	c, err := diffusion.NewContext(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	showErrors(c)
	if err := train(c, model); err != nil {
		return err
	}
	if err := sample(c, model, picture); err != nil {
		return err
	}
	fmt.Printf("%s and %s are written\n", model, picture)
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: walkthrough MODEL.safetensors OUT.png")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "walkthrough:", err)
		os.Exit(1)
	}
}
