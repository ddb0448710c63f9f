// SPDX-License-Identifier: MIT

package diffusion

// The zero value of an options struct is not the default; start from the Default functions. A nil
// pointer to options means the defaults everywhere. SetOption and GetOption, and the help texts and
// ranges of Members, work with all of them.

// ContextOptions are the options of NewContext.
type ContextOptions struct {
	Threads     int32  // 1 to 256; 0, the default: one for each processor
	MemoryLimit uint64 // bytes; 0, the default: none
	Profile     bool   // measure for Context.ProfileRows
	LargePages  bool   // request large pages for blocks of 4 MB and more
	Latency     bool   // the algorithms that are fastest for one image or a few; false
	// Receives notes that are not errors. It may call nothing of its context. It may run in the
	// goroutine of the garbage collector's finalizers. Default: nil, which drops them.
	Log func(level LogLevel, message string)
}

// ScheduleOptions are the options of NewSchedule.
type ScheduleOptions struct {
	Kind            ScheduleKind // ScheduleCosine
	Timesteps       int32        // T, 1 to 100000; 1000
	ZeroTerminalSNR bool         // rescale betas so that the last timestep has no signal
	BetaStart       float64      // linear, scaled linear, sigmoid; in (0, 1); 1e-4
	BetaEnd         float64      // likewise; 0.02
	ScaleBetas      bool         // multiply both by 1000 / T
	FlowShift       float64      // flow; above 0; 1
	SigmaMin        float64      // EDM; 0.002
	SigmaMax        float64      // EDM; above SigmaMin; 80
	Rho             float64      // EDM; 1 to 100; 7
	TimeScale       float64      // EDM; factor of the time input; 0: 1
	Float32Tables   bool         // beta and alpha_cumprod as diffusers computes them in float32
	TerminalSignal  bool         // ZeroTerminalSNR: the last alpha_cumprod is 2^-24 in place of 0
}

// UNetOptions describe a network. Entries of the arrays past Levels are ignored.
type UNetOptions struct {
	Height, Width           int32    // pixels, divisible by 2^(Levels-1); 32
	InChannels, OutChannels int32    // 1 to 64; 3
	Levels                  int32    // resolutions, 1 to LevelsMax; 4
	Channels                [8]int32 // of each level, multiples of NormGroups; 64, 128, 128, 128
	Blocks                  [8]int32 // residual blocks of each level, 1 to 16; 2 each
	Attention               [8]bool  // self-attention after each block of the level; level 1
	MidAttention            bool     // self-attention in the mid block; true
	AttentionHeadSize       int32    // channels of a head; 0: one head
	NormGroups              int32    // of group normalisation; 32
	NormEps                 float32  // 1e-6
	Dropout                 float32  // rate in [0, 1), while training; 0
	TimeEmbedding           TimeEmbedding
	TimeChannels            int32   // of the time embedding; 0: 4 Channels[0]
	TimeCosFirst            bool    // [cos | sin] in place of [sin | cos]
	TimeFrequencyShift      float32 // 1
	DownsamplePadding       Padding
	Classes                 int32      // labels 0 to Classes - 1; 0: the network takes no labels
	Prediction              Prediction // PredictV
	SigmaData               float32    // PredictEDM: standard deviation of the images; 0.5
	LearnedVariance         bool       // 2 OutChannels, for the variance of DDPM's steps
	SelfConditioning        bool       // 2 InChannels, for the previous estimate of x_0

	DownResample  [8]Resample // of each level of the encoder
	UpResample    [8]Resample // of each level of the decoder
	UpAttention   [8]int32    // Attention of the decoder's levels, 0 or 1; -1: as in the encoder; -1
	MidBlock      bool        // false: the encoder's output goes to the decoder; true
	MidScale      float32     // divides sums with shortcuts in the mid block; 1
	MidNormGroups int32       // of its attention; 0: no norm; -1: NormGroups; -1
	Activation    Activation  // ActivationSiLU

	TimeFeatures       TimeFeatures
	TimeSteps          int32 // TimeLearned: rows of the table, 1 to 1e6; 1000
	CenterInput        bool  // map the input from [0, 1] to [-1, 1]
	NullRow            bool  // the class table has a row for label -1; true
	ConditionChannels  int32 // of a condition image beside x_t, 0 to 64
	ConditionSize      int32 // floats of a condition vector, 0 to 65536
	ConditionEmbedding Condition

	Recipe          [8]Part   // of each block, up to PartEnd; none: residual and attention blocks
	AttentionWindow int32     // PartAttention: pixels of a side, 1 to 4096; 16
	Precision       Precision // of forward passes: PrecisionF32 or PrecisionBF16; PrecisionF32
}

// DiffusersOptions are what a network of diffusers leaves open, and how close to diffusers its
// images are to be.
type DiffusersOptions struct {
	Height, Width     int32      // 1 to 4096; 0: sample_size of config.json
	Prediction        Prediction // PredictAny: that of the pipeline's scheduler, or PredictEps
	Compatible        bool       // LoadScheduleDiffusers: the same pixels as diffusers
	ConditionChannels int32      // the last of in_channels, which are a condition image's
}

// The lengths of the arrays in UNetOptions and TrainerOptions.
const (
	LevelsMax = 8
	EMAMax    = 4
)

// TrainerOptions are the options of NewTrainer.
type TrainerOptions struct {
	BatchSize    int32 // images in one pass, 1 to 4096; 64
	Accumulation int32 // passes whose gradients make one step, 1 to 4096; 1
	Recompute    Recompute
	Seed         uint64 // of all random numbers of the run

	Flip                 bool  // mirror half of the images
	CropPadding          int32 // pixels of padding by reflection before a random crop
	UseLabels            bool  // give labels to a network with classes; true
	TimestepSampling     TimestepSampling
	LabelDropout         float64 // probability that a label becomes -1, as guidance needs
	SelfConditioningRate float64 // 0.5
	LogitMean            float64 // TimestepsLogitNormal; -100 to 100
	LogitStd             float64 // above 0, at most 100; 1
	LogSigmaMean         float64 // TimestepsLogNormal; -10 to 10; -1.2
	LogSigmaStd          float64 // above 0, at most 5; 1.2

	Loss        Loss
	LossWeight  LossWeight
	HuberDelta  float64 // 0.1
	BoundLambda float64 // LossHybrid; 0.001
	MinSNRGamma float64 // 5
	P2K         float64 // 1
	P2Gamma     float64 // 1

	Optimizer               Optimizer
	LearningRateSchedule    RateSchedule
	LearningRate            float64 // 1e-4
	LearningRateEndFraction float64 // what is left of it when the schedule ends
	LearningRateEndStep     uint64  // step at which the schedule ends, above WarmupSteps
	WarmupSteps             uint64
	Beta1                   float64 // 0.9
	Beta2                   float64 // 0.999
	AdamEps                 float64 // 1e-8
	WeightDecay             float64
	GradientClip            float64 // largest norm of the gradient; 0: no clipping; 1

	// EMA i is kept if EMADecay[i] or EMAHalfLife[i] is above 0; not both may be.
	EMADecay    [4]float64 // per step, [0, 1); 0.9999, 0, 0, 0
	EMAHalfLife [4]float64 // in images
	EMARampup   float64    // 0.05
	EMAWarmup   bool       // EMADecay is at most (1 + step) / (10 + step); true

	DistillSteps     int32     // Trainer.SetTeacher: DDIM steps to distil to; 0: no distillation
	DistillClip      bool      // clip the teacher's x_0 to [-1, 1]; true
	ConditionDropout float64   // probability that an image's conditions become 0
	Precision        Precision // of the training steps: PrecisionF32 or PrecisionBF16; PrecisionF32
}

// SamplerOptions are the options of NewSampler.
type SamplerOptions struct {
	Solver    Solver // SolverDDIM
	Steps     int32  // 1 to T; 50
	BatchSize int32  // images in one model evaluation, 1 to 4096; 16

	Spacing       Spacing
	StepsOffset   int32 // SpacingLeading: added to each timestep
	Grid          Grid
	FinalAlphaOne bool    // the last step goes to the clean image; true
	Rho           float64 // GridKarras; 1 to 100; 7

	Order           int32 // of solvers that have one; 0: the usual
	LowerOrderFinal bool  // true
	Variance        Variance
	RederiveEps     int32   // DDIM: derive eps from the clipped x_0: 1, 0, or -1: with guidance; -1
	Eta             float64 // DDIM: 0: deterministic; 1: as noisy as DDPM
	Churn           float64 // Euler and Heun: the noise added before each step
	ChurnSigmaMin   float64
	ChurnSigmaMax   float64 // 1e300
	ChurnNoise      float64 // 1

	Clip               bool       // clip the predicted x_0 to [-1, 1]; true
	ExpectedPrediction Prediction // a network of another type is refused; PredictAny
	Guidance           float64    // classifier-free guidance; 1: off
	GuidanceRescale    float64    // 0 to 1
	GuidanceBegin      float64    // guidance is used for t / T in [GuidanceBegin, GuidanceEnd]
	GuidanceEnd        float64    // 1
	Threshold          float64    // quantile of dynamic thresholding; 0: off
	ThresholdMax       float64    // 1e300

	DiffusersCompatible bool    // levels and steps are those of diffusers where they differ
	ClipRange           float64 // Clip: to +- this, unless Threshold is set; 0: 1

	// Custom levels in place of Spacing, Grid and Steps: at most one list, strictly falling.
	CustomTimes  []float64 // timesteps in [0, T-1], whole or fractional
	CustomSigmas []float64 // noise / signal, above 0
	// Set by Sampler.Options to the number of custom levels, which it cannot return; leave it 0.
	CustomCount uint64
}

// EvaluationOptions are the options of Evaluate.
type EvaluationOptions struct {
	BatchSize int32  // 1 to 4096; 16
	First     uint64 // first image of the dataset
	Count     uint64 // images at most; 0: all that follow; 256
	Seed      uint64
	Timesteps int32    // per image, beside the first; 0: all; 20
	Variance  Variance // of the steps
	Clip      bool     // clip the predicted x_0; true
	UseLabels bool     // true
}

// GridOptions describe a grid of images with a white gap around each.
type GridOptions struct {
	Height, Width, Channels int32  // of one image
	Columns                 int32  // images in a row; 8
	Scale                   int32  // enlargement, 1 to 64; 1
	Gap                     int32  // pixels, 0 to 1024; 1
	Count                   uint64 // images
}

// Animation describes an animated PNG.
type Animation struct {
	Height, Width, Channels int32 // of one frame
	Frames                  int32
	DelayMS                 int32 // of each frame, 0 to 65535; 100
	LastDelayMS             int32 // of the last frame; 1000
}

func (*ContextOptions) cStruct() string    { return "dm_context_options" }
func (*ScheduleOptions) cStruct() string   { return "dm_schedule_options" }
func (*UNetOptions) cStruct() string       { return "dm_unet_options" }
func (*DiffusersOptions) cStruct() string  { return "dm_diffusers_options" }
func (*TrainerOptions) cStruct() string    { return "dm_trainer_options" }
func (*SamplerOptions) cStruct() string    { return "dm_sampler_options" }
func (*EvaluationOptions) cStruct() string { return "dm_evaluation_options" }
func (*GridOptions) cStruct() string       { return "dm_image_grid_options" }
func (*Animation) cStruct() string         { return "dm_image_animation" }

// DefaultContextOptions returns the defaults.
func DefaultContextOptions() (o ContextOptions) { defaults(&o); return }

// DefaultScheduleOptions returns the defaults.
func DefaultScheduleOptions() (o ScheduleOptions) { defaults(&o); return }

// DefaultUNetOptions returns the defaults.
func DefaultUNetOptions() (o UNetOptions) { defaults(&o); return }

// DefaultDiffusersOptions returns the defaults.
func DefaultDiffusersOptions() (o DiffusersOptions) { defaults(&o); return }

// DefaultTrainerOptions returns the defaults.
func DefaultTrainerOptions() (o TrainerOptions) { defaults(&o); return }

// DefaultSamplerOptions returns the defaults.
func DefaultSamplerOptions() (o SamplerOptions) { defaults(&o); return }

// DefaultEvaluationOptions returns the defaults.
func DefaultEvaluationOptions() (o EvaluationOptions) { defaults(&o); return }

// DefaultGridOptions returns the defaults; Height, Width, Channels and Count must be set.
func DefaultGridOptions() (o GridOptions) { defaults(&o); return }

// DefaultAnimation returns the defaults; Height, Width, Channels and Frames must be set.
func DefaultAnimation() (o Animation) { defaults(&o); return }
