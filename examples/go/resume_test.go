// SPDX-License-Identifier: MIT

package diffusion

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

func tenNames() []string {
	names := make([]string, 10)
	for i := range names {
		names[i] = fmt.Sprintf("class %d é", i)
	}
	return names
}

func checkNames(t *testing.T, u *UNet, want []string) {
	t.Helper()
	got := make([]string, 10)
	for i := range got {
		var err error
		got[i], err = u.ClassName(int32(i))
		must(t, err)
	}
	equal(t, "names", got, want)
	if name, err := u.ClassName(10); name != "" || err != nil {
		t.Errorf("class 10 is %q, %v", name, err)
	}
}

func TestClassNames(t *testing.T) {
	c := newContext(t)
	network, none := smallNetwork(), make([]string, 10)
	u, err := NewUNet(c, &network, 1)
	must(t, err)
	defer u.Close()
	checkNames(t, u, none)
	names := tenNames()
	must(t, u.SetClassNames(names))
	checkNames(t, u, names)
	path := filepath.Join(t.TempDir(), "model.safetensors")
	must(t, u.Save(nil, path))
	loaded, err := LoadUNet(c, path, WeightsDefault)
	must(t, err)
	checkNames(t, loaded, names)
	loaded.Close()
	_, err = loaded.ClassName(0)
	expect(t, err, ErrInvalidArgument, "closed")
	share, err := u.Share(newContext(t))
	must(t, err)
	checkNames(t, share, names)
	expect(t, u.SetClassNames(nil), ErrWrongState, "shared")
	share.Close()
	for text, bad := range map[string]string{"UTF-8": "a\nb", "class 3": "\xff", "zero": "a\x00"} {
		other := tenNames()
		other[3] = bad
		expect(t, u.SetClassNames(other), ErrInvalidArgument, text)
	}
	expect(t, u.SetClassNames(names[:9]), ErrShapeMismatch, "must be 10")
	checkNames(t, u, names)
	must(t, u.SetClassNames(nil))
	checkNames(t, u, none)
}

// A network that is trained takes the names of its data, from memory and from a source.
func TestClassNamesOfData(t *testing.T) {
	c := newContext(t)
	images := smallImages()
	images.ClassNames = append(tenNames(), "without images")
	memory, err := NewDataset(c, images)
	must(t, err)
	defer memory.Close()
	if info, err := memory.Info(); err != nil || info.Classes != 11 {
		t.Errorf("the dataset is %+v, %v", info, err)
	}
	if name := memory.ClassName(10); name != "without images" {
		t.Errorf("class 10 is %q", name)
	}
	images.ClassNames = []string{"one"}
	_, err = NewDataset(c, images)
	expect(t, err, ErrShapeMismatch, "class_name_count")
	images.ClassNames[0] = "a\x00"
	_, err = NewDataset(c, images)
	expect(t, err, ErrInvalidArgument, "zero")

	from := countingSource(&told{})
	from.ClassNames = tenNames()
	source, err := NewDatasetFromSource(c, from)
	must(t, err)
	defer source.Close()
	network, training := smallNetwork(), smallTraining()
	u, err := NewUNet(c, &network, 1)
	must(t, err)
	defer u.Close()
	s, err := NewSchedule(c, nil)
	must(t, err)
	defer s.Close()
	trainer, err := NewTrainer(u, s, source, &training)
	must(t, err)
	defer trainer.Close()
	checkNames(t, u, tenNames())
	var inside string
	var failed error
	must(t, trainer.Train(context.Background(), 1, func(TrainStats) error {
		inside, failed = u.ClassName(9)
		return nil
	}))
	if inside != tenNames()[9] || failed != nil {
		t.Errorf("in a callback class 9 is %q, %v", inside, failed)
	}
	from.ClassNames = tenNames()[:9]
	_, err = NewDatasetFromSource(c, from)
	expect(t, err, ErrShapeMismatch, "class_name_count")
}

// told is what a source of 12 black images was asked for.
type told struct {
	read, epochs, next []uint64
	early              bool // prefetch came when images that it had told were still to be read
}

func countingSource(d *told) *ImageSource {
	return &ImageSource{Height: side, Width: side, Channels: 3, Count: 12, Classes: 10,
		ReadEpoch: func(index, epoch uint64, pixels []uint8) (int32, error) {
			d.read, d.epochs = append(d.read, index), append(d.epochs, epoch)
			return int32(index % 10), nil
		},
		Prefetch: func(indices []uint64) {
			d.early = d.early || len(d.next) > 0 && len(d.next) != len(d.read)
			d.next = append(d.next, indices...)
		}}
}

func TestPrefetch(t *testing.T) {
	c := newContext(t)
	var d told
	source, err := NewDatasetFromSource(c, countingSource(&d))
	must(t, err)
	defer source.Close()
	network, training := smallNetwork(), smallTraining()
	u, err := NewUNet(c, &network, 1)
	must(t, err)
	defer u.Close()
	s, err := NewSchedule(c, nil)
	must(t, err)
	defer s.Close()
	trainer, err := NewTrainer(u, s, source, &training)
	must(t, err)
	defer trainer.Close()
	must(t, trainer.Train(context.Background(), 8, func(stats TrainStats) error {
		images := int32(0)
		for q, loss := range stats.QuarterLoss {
			if math.IsNaN(loss) || math.IsInf(loss, 0) || loss == 0 != (stats.QuarterImages[q] == 0) {
				return fmt.Errorf("the quarters are %v and %v", stats.QuarterLoss,
					stats.QuarterImages)
			}
			images += stats.QuarterImages[q]
		}
		if images != 2 {
			return fmt.Errorf("the quarters have %d images", images)
		}
		return nil
	}))
	if len(d.read) != 16 || len(d.next) != 18 || d.early {
		t.Fatalf("%d images were read, %d told; early: %v", len(d.read), len(d.next), d.early)
	}
	equal(t, "indices", d.next[:16], d.read)
	for i, epoch := range d.epochs {
		if epoch != uint64(i/12) {
			t.Errorf("image %d is of epoch %d", i, epoch)
		}
	}
	_, _, err = source.Image(3)
	must(t, err)
	if d.read[16] != 3 || d.epochs[16] != 0 {
		t.Error("an image that is asked for has an epoch")
	}

	both := countingSource(&d)
	both.Read = func(uint64, []uint8) (int32, error) { return 0, nil }
	_, err = NewDatasetFromSource(c, both)
	expect(t, err, ErrInvalidArgument, "ReadEpoch")

	// A panic comes out, and the step is done.
	loud := countingSource(&told{})
	loud.Prefetch = func([]uint64) { panic("too far") }
	shouting, err := NewDatasetFromSource(c, loud)
	must(t, err)
	defer shouting.Close()
	v, err := NewUNet(c, &network, 1)
	must(t, err)
	defer v.Close()
	other, err := NewTrainer(v, s, shouting, &training)
	must(t, err)
	defer other.Close()
	if value := raised(func() { _, _ = other.Step() }); value != "too far" {
		t.Errorf("the panic's value is %v", value)
	}
	if n, err := other.StepCount(); n != 1 || err != nil {
		t.Errorf("%d steps, %v", n, err)
	}
}

func TestResumeChanged(t *testing.T) {
	w := newWorld(t)
	must(t, w.trainer.Train(context.Background(), 6, nil)) // of 2 images
	path := filepath.Join(t.TempDir(), "model.safetensors")
	must(t, w.trainer.Save(path))
	before, err := w.trainer.Options()
	must(t, err)
	options, err := LoadTrainerOptions(w.context, path)
	must(t, err)
	if options != before {
		t.Errorf("the options are %+v", options)
	}
	options.BatchSize, options.LearningRate, options.EMADecay[1] = 5, 0.25, 0.5
	u, err := LoadUNet(w.context, path, WeightsTrained)
	must(t, err)
	defer u.Close()
	var d told
	source, err := NewDatasetFromSource(w.context, countingSource(&d))
	must(t, err)
	defer source.Close()
	trainer, err := ResumeTrainerChanged(u, source, path, &options)
	must(t, err)
	stats, err := trainer.Step()
	must(t, err)
	if stats.Step != 7 || stats.Images != 17 || stats.LearningRate != 0.25 {
		t.Errorf("the step is %+v", stats)
	}
	equal(t, "epochs", d.epochs, []uint64{1, 1, 1, 1, 1}) // positions 12 to 16
	trainer.Close()
	options.DistillSteps = 4
	_, err = ResumeTrainerChanged(u, source, path, &options)
	expect(t, err, ErrInvalidArgument, "distill_steps")
	trainer, err = ResumeTrainerChanged(u, nil, path, nil)
	must(t, err)
	if got, err := trainer.Options(); err != nil || got != DefaultTrainerOptions() {
		t.Errorf("the options are %+v, %v", got, err)
	}
	trainer.Close()
	_, err = ResumeTrainerChanged(u, nil, "a\x00", nil)
	expect(t, err, ErrInvalidArgument, "zero")
}

func TestCheckpointInfo(t *testing.T) {
	w := newWorld(t)
	must(t, w.trainer.Train(context.Background(), 3, nil))
	path := filepath.Join(t.TempDir(), "model.safetensors")
	must(t, w.trainer.Save(path))
	data, err := w.dataset.Info()
	must(t, err)
	info, err := LoadCheckpointInfo(w.context, path)
	must(t, err)
	if info != (CheckpointInfo{Training: true, Step: 3, Images: 6, DatasetCount: 12,
		DatasetFingerprint: data.Fingerprint, EMAs: 1, FormatVersion: 1, NullClass: true}) {
		t.Errorf("the file says %+v", info)
	}
	must(t, w.unet.Save(w.schedule, path))
	info, err = LoadCheckpointInfo(w.context, path)
	must(t, err)
	if info != (CheckpointInfo{FormatVersion: 1, NullClass: true}) {
		t.Errorf("the network's file says %+v", info)
	}
	_, err = LoadTrainerOptions(w.context, path)
	expect(t, err, ErrBadFormat, "without training state")
	_, err = LoadCheckpointInfo(w.context, path+"none")
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Errorf("the error is %v", err)
	}
}
