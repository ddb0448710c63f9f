// SPDX-License-Identifier: MIT

package diffusion

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// resident returns the memory of the process in KiB, or 0 where it cannot be read.
func resident() int {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kib, _ := strconv.Atoi(fields[1])
			return kib
		}
	}
	return 0
}

// tiny makes one object of each kind in c; closing nothing is up to close.
func tiny(t *testing.T, c *Context, close bool) {
	network := smallNetwork()
	network.Levels = 1
	s, err := NewSchedule(c, nil)
	must(t, err)
	u, err := NewUNet(c, &network, 0)
	must(t, err)
	d, err := NewDatasetFromSource(c, &ImageSource{Height: side, Width: side, Channels: 3, Count: 2,
		Read: func(uint64, []uint8) (int32, error) { return -1, nil }})
	must(t, err)
	m, err := NewDataset(c, smallImages())
	must(t, err)
	training := smallTraining()
	trainer, err := NewTrainer(u, s, d, &training)
	must(t, err)
	sampler, err := NewSampler(u, s, nil)
	must(t, err)
	denoiser := DefaultDenoiser()
	denoiser.Height, denoiser.Width, denoiser.Channels = side, side, 1
	denoiser.Evaluate = func(*DenoiserInput, []float32) error { return nil }
	custom, err := NewSamplerWithDenoiser(c, s, &denoiser, nil)
	must(t, err)
	request := DefaultSamplerRequest()
	request.Seeds = []uint64{1}
	request.Progress = func(*SamplerProgress) error { return nil }
	run, err := custom.Start(&request)
	must(t, err)
	_, err = run.Step()
	must(t, err)
	if close {
		for _, object := range []interface{ Close() error }{s, u, d, m, custom, sampler, trainer,
			run} {
			must(t, object.Close())
		}
	}
}

// KiB that a process may grow by without a leak, since the race detector's memory grows in steps;
// the context's own count is exact.
const growth = 32768

func TestNoGrowth(t *testing.T) {
	c := newContext(t)
	var used uint64
	var kib int
	for i := 0; i < 1000; i++ {
		tiny(t, c, true)
		if i == 200 {
			used, kib = c.Memory().Used, resident()
		}
	}
	if now := c.Memory().Used; now != used {
		t.Errorf("the context has grown from %d to %d bytes", used, now)
	}
	if now := resident(); now > kib+growth {
		t.Errorf("the process has grown from %d to %d KiB", kib, now)
	}
	options := DefaultContextOptions()
	options.Threads = 1
	options.Log = func(LogLevel, string) {}
	for i := 0; i < 1000; i++ {
		other, err := NewContext(&options)
		must(t, err)
		must(t, other.Close())
		if i == 200 {
			kib = resident()
		}
	}
	if now := resident(); now > kib+growth {
		t.Errorf("contexts: the process has grown from %d to %d KiB", kib, now)
	}
}

// The garbage collector destroys what is not closed, in the right order, also during calls.
func TestFinalizers(t *testing.T) {
	c := newContext(t)
	used := c.Memory().Used
	w := newWorld(t)
	for i := 0; i < 10; i++ {
		tiny(t, c, false)
		tiny(t, w.context, false)
	}
	must(t, w.trainer.Train(context.Background(), 3, func(TrainStats) error {
		runtime.GC()
		return nil
	}))
	for end := time.Now().Add(10 * time.Second); c.Memory().Used != used; {
		if time.Now().After(end) {
			t.Fatalf("%d bytes are in use, %d before", c.Memory().Used, used)
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
		// A call that meets the destruction of objects waits for it.
		_, err := w.trainer.Step()
		must(t, err)
		s, err := NewSchedule(c, nil)
		must(t, err)
		s.Close()
	}
}

// Calls from many goroutines never crash; each succeeds or is refused.
func TestGoroutines(t *testing.T) {
	w := newWorld(t)
	sampler := w.sampler(t, 1)
	done := make(chan error)
	for i := 0; i < 8; i++ {
		go func(i int) {
			var err error
			for k := 0; k < 20; k++ {
				switch (i + k) % 4 {
				case 0:
					_, err = w.trainer.Step()
				case 1:
					_, err = sampler.Run(context.Background(), nil)
				case 2:
					var run *Run
					if run, err = sampler.Start(nil); err == nil {
						_, err = run.Step()
						run.Close()
					}
				case 3:
					var s *Schedule
					if s, err = NewSchedule(w.context, nil); err == nil {
						s.Close()
					}
				}
				if err != nil && !isStatus(err, ErrWrongState) {
					break
				}
				err = nil
			}
			if i == 0 {
				w.unet.Close()
			}
			done <- err
		}(i)
	}
	for i := 0; i < 8; i++ {
		must(t, <-done)
	}
	_, err := w.trainer.Step()
	must(t, err)
}
