// SPDX-License-Identifier: MIT

package diffusion

// #include <diffusion.h>
import "C"

// Every enumeration has a String method, which gives the name in options and files ("ddim"), or the
// number of an unknown value. Parse, Help and Values work with all of them.

// LogLevel is the importance of a note that the log receives.
type LogLevel int32

const (
	LogInfo    LogLevel = C.DM_LOG_INFO
	LogWarning LogLevel = C.DM_LOG_WARNING
)

func (LogLevel) enumeration() string { return "dm_log_level" }

// String returns the name.
func (v LogLevel) String() string { return enumName(v) }

// ScheduleKind is how much noise each timestep adds.
type ScheduleKind int32

const (
	// beta in equal steps
	ScheduleLinear ScheduleKind = C.DM_SCHEDULE_LINEAR
	// Nichol and Dhariwal (2021), eq. 17
	ScheduleCosine ScheduleKind = C.DM_SCHEDULE_COSINE
	// sqrt(beta) in equal steps
	ScheduleScaledLinear ScheduleKind = C.DM_SCHEDULE_SCALED_LINEAR
	// beta along a sigmoid
	ScheduleSigmoid ScheduleKind = C.DM_SCHEDULE_SIGMOID
	// a straight line from image to noise
	ScheduleFlow ScheduleKind = C.DM_SCHEDULE_FLOW
	// signal 1, noise sigma; needs PredictEDM
	ScheduleEDM ScheduleKind = C.DM_SCHEDULE_EDM
	// betas of the caller; only reported
	ScheduleCustom ScheduleKind = C.DM_SCHEDULE_CUSTOM
)

func (ScheduleKind) enumeration() string { return "dm_schedule_kind" }

// String returns the name.
func (v ScheduleKind) String() string { return enumName(v) }

// Series is a series of T values of a schedule.
type Series int32

const (
	SeriesBeta Series = C.DM_SERIES_BETA
	// 1 - beta
	SeriesAlpha Series = C.DM_SERIES_ALPHA
	// a, the product of alpha up to t
	SeriesAlphaCumprod Series = C.DM_SERIES_ALPHA_CUMPROD
	// a of the timestep before; 1 for t = 0
	SeriesAlphaCumprodPrev         Series = C.DM_SERIES_ALPHA_CUMPROD_PREV
	SeriesSqrtAlphaCumprod         Series = C.DM_SERIES_SQRT_ALPHA_CUMPROD
	SeriesSqrtOneMinusAlphaCumprod Series = C.DM_SERIES_SQRT_ONE_MINUS_ALPHA_CUMPROD
	// Ho et al. (2020), eq. 7
	SeriesPosteriorVariance Series = C.DM_SERIES_POSTERIOR_VARIANCE
	// its logarithm; for t = 0 that of t = 1
	SeriesPosteriorLogVariance Series = C.DM_SERIES_POSTERIOR_LOG_VARIANCE
	// factor of x_0 in the posterior mean
	SeriesPosteriorMeanX0 Series = C.DM_SERIES_POSTERIOR_MEAN_X0
	// factor of x_t in the posterior mean
	SeriesPosteriorMeanXT Series = C.DM_SERIES_POSTERIOR_MEAN_XT
	// a / (1 - a)
	SeriesSNR Series = C.DM_SERIES_SNR
	// sqrt((1 - a) / a)
	SeriesSigma Series = C.DM_SERIES_SIGMA
	// x_t = signal x_0 + noise eps
	SeriesSignal Series = C.DM_SERIES_SIGNAL
	SeriesNoise  Series = C.DM_SERIES_NOISE
	// the network's time input
	SeriesTime Series = C.DM_SERIES_TIME
)

func (Series) enumeration() string { return "dm_series" }

// String returns the name.
func (v Series) String() string { return enumName(v) }

// Preset is a network of known size.
type Preset int32

const (
	PresetTiny        Preset = C.DM_PRESET_TINY         // channels 32, 64, 64; predicts v
	PresetSmall       Preset = C.DM_PRESET_SMALL        // channels 64, 128, 128, 128; predicts v
	PresetDDPMCIFAR10 Preset = C.DM_PRESET_DDPM_CIFAR10 // the CIFAR-10 network of Ho et al. (2020)
	PresetRecipe64    Preset = C.DM_PRESET_RECIPE_64    // blocks by recipe, 64x64 pixels, 1000 classes
	PresetRecipe32    Preset = C.DM_PRESET_RECIPE_32    // the same, 32x32 pixels, 10 classes
)

func (Preset) enumeration() string { return "dm_preset" }

// String returns the name.
func (v Preset) String() string { return enumName(v) }

// Prediction is what a network predicts.
type Prediction int32

const (
	PredictAny  Prediction = C.DM_PREDICT_ANY  // only as SamplerOptions.ExpectedPrediction
	PredictEps  Prediction = C.DM_PREDICT_EPS  // the noise
	PredictX0   Prediction = C.DM_PREDICT_X0   // the clean image
	PredictV    Prediction = C.DM_PREDICT_V    // sqrt(a) eps - sqrt(1-a) x_0
	PredictFlow Prediction = C.DM_PREDICT_FLOW // eps - x_0
	PredictEDM  Prediction = C.DM_PREDICT_EDM  // F in x_0 = c_skip x + c_out F(c_in x)
	// a consistency function (Song et al. 2023)
	PredictConsistency Prediction = C.DM_PREDICT_CONSISTENCY
)

func (Prediction) enumeration() string { return "dm_prediction" }

// String returns the name.
func (v Prediction) String() string { return enumName(v) }

// TimeEmbedding is where the time embedding enters a residual block.
type TimeEmbedding int32

const (
	TimeAdd        TimeEmbedding = C.DM_TIME_ADD         // after the first convolution
	TimeScaleShift TimeEmbedding = C.DM_TIME_SCALE_SHIFT // scale and shift at the second norm
	TimeAddOutput  TimeEmbedding = C.DM_TIME_ADD_OUTPUT  // at the block's output
)

func (TimeEmbedding) enumeration() string { return "dm_time_embedding" }

// String returns the name.
func (v TimeEmbedding) String() string { return enumName(v) }

// Padding is how a convolution of stride 2 pads its input.
type Padding int32

const (
	PadBottomRight Padding = C.DM_PAD_BOTTOM_RIGHT // one row below, one column at the right
	PadAll         Padding = C.DM_PAD_ALL          // one row and column on all sides
)

func (Padding) enumeration() string { return "dm_padding" }

// String returns the name.
func (v Padding) String() string { return enumName(v) }

// Weights is which weights of a file to load. WeightsEMA + i is EMA i.
type Weights int32

const (
	// the first EMA if there is one, else the trained weights
	WeightsDefault Weights = C.DM_WEIGHTS_DEFAULT
	// the weights after the last training step
	WeightsTrained Weights = C.DM_WEIGHTS_TRAINED
	// the first EMA
	WeightsEMA Weights = C.DM_WEIGHTS_EMA
)

func (Weights) enumeration() string { return "dm_weights" }

// String returns the name.
func (v Weights) String() string { return enumName(v) }

// Split is a part of CIFAR-10.
type Split int32

const (
	SplitTrain Split = C.DM_SPLIT_TRAIN
	SplitTest  Split = C.DM_SPLIT_TEST
)

func (Split) enumeration() string { return "dm_split" }

// String returns the name.
func (v Split) String() string { return enumName(v) }

// RateSchedule is how the learning rate changes over the steps.
type RateSchedule int32

const (
	RateConstant RateSchedule = C.DM_RATE_CONSTANT
	RateLinear   RateSchedule = C.DM_RATE_LINEAR
	RateCosine   RateSchedule = C.DM_RATE_COSINE
)

func (RateSchedule) enumeration() string { return "dm_rate_schedule" }

// String returns the name.
func (v RateSchedule) String() string { return enumName(v) }

// Recompute is what the backward pass recomputes instead of keeping it.
type Recompute int32

const (
	RecomputeNone Recompute = C.DM_RECOMPUTE_NONE
	// group norm, concatenation, dropout
	RecomputeSelective Recompute = C.DM_RECOMPUTE_SELECTIVE
	// everything inside residual and attention blocks
	RecomputeBlocks Recompute = C.DM_RECOMPUTE_BLOCKS
)

func (Recompute) enumeration() string { return "dm_recompute" }

// String returns the name.
func (v Recompute) String() string { return enumName(v) }

// TimestepSampling is the distribution of the noise levels trained on.
type TimestepSampling int32

const (
	TimestepsUniform TimestepSampling = C.DM_TIMESTEPS_UNIFORM
	// by the size of recent losses
	TimestepsLossAware TimestepSampling = C.DM_TIMESTEPS_LOSS_AWARE
	// flow schedules
	TimestepsLogitNormal TimestepSampling = C.DM_TIMESTEPS_LOGIT_NORMAL
	// EDM schedules
	TimestepsLogNormal TimestepSampling = C.DM_TIMESTEPS_LOG_NORMAL
)

func (TimestepSampling) enumeration() string { return "dm_timestep_sampling" }

// String returns the name.
func (v TimestepSampling) String() string { return enumName(v) }

// Loss is the loss of one element with error d.
type Loss int32

const (
	// d^2
	LossMSE Loss = C.DM_LOSS_MSE
	// 2 delta^2 (sqrt(1 + (d/delta)^2) - 1)
	LossPseudoHuber Loss = C.DM_LOSS_PSEUDO_HUBER
	// with LearnedVariance: adds the variational bound
	LossHybrid Loss = C.DM_LOSS_HYBRID
)

func (Loss) enumeration() string { return "dm_loss" }

// String returns the name.
func (v Loss) String() string { return enumName(v) }

// LossWeight is the weight of an image's loss.
type LossWeight int32

const (
	LossWeightSimple LossWeight = C.DM_LOSS_WEIGHT_SIMPLE  // 1
	LossWeightMinSNR LossWeight = C.DM_LOSS_WEIGHT_MIN_SNR // min(SNR, MinSNRGamma)
	LossWeightP2     LossWeight = C.DM_LOSS_WEIGHT_P2      // 1 / (P2K + SNR)^P2Gamma
	LossWeightBound  LossWeight = C.DM_LOSS_WEIGHT_BOUND   // as in the variational bound
	// max(SNR, 1) of x_0, for distillation
	LossWeightTruncatedSNR LossWeight = C.DM_LOSS_WEIGHT_TRUNCATED_SNR
)

func (LossWeight) enumeration() string { return "dm_loss_weight" }

// String returns the name.
func (v LossWeight) String() string { return enumName(v) }

// Optimizer is how weight decay is applied.
type Optimizer int32

const (
	OptimizerAdamW Optimizer = C.DM_OPTIMIZER_ADAMW // decoupled from the gradient
	OptimizerAdam  Optimizer = C.DM_OPTIMIZER_ADAM  // added to the gradient
)

func (Optimizer) enumeration() string { return "dm_optimizer" }

// String returns the name.
func (v Optimizer) String() string { return enumName(v) }

// Solver is how a sampler goes from one noise level to the next. Help says when to use which.
type Solver int32

const (
	SolverDDPM           Solver = C.DM_SOLVER_DDPM
	SolverDDIM           Solver = C.DM_SOLVER_DDIM
	SolverPNDM           Solver = C.DM_SOLVER_PNDM
	SolverPLMS           Solver = C.DM_SOLVER_PLMS
	SolverEuler          Solver = C.DM_SOLVER_EULER
	SolverEulerAncestral Solver = C.DM_SOLVER_EULER_ANCESTRAL
	SolverHeun           Solver = C.DM_SOLVER_HEUN
	SolverDPM2           Solver = C.DM_SOLVER_DPM2
	SolverLMS            Solver = C.DM_SOLVER_LMS
	SolverDPMPP          Solver = C.DM_SOLVER_DPMPP
	SolverDPMPPSingle    Solver = C.DM_SOLVER_DPMPP_SINGLE
	SolverDPMPPSDE       Solver = C.DM_SOLVER_DPMPP_SDE
	SolverUniPC          Solver = C.DM_SOLVER_UNIPC
	SolverDEIS           Solver = C.DM_SOLVER_DEIS
	SolverFlowEuler      Solver = C.DM_SOLVER_FLOW_EULER
	SolverFlowHeun       Solver = C.DM_SOLVER_FLOW_HEUN
	SolverConsistency    Solver = C.DM_SOLVER_CONSISTENCY
)

func (Solver) enumeration() string { return "dm_solver" }

// String returns the name.
func (v Solver) String() string { return enumName(v) }

// Spacing is which of the T timesteps are visited.
type Spacing int32

const (
	SpacingAuto     Spacing = C.DM_SPACING_AUTO     // the solver's own
	SpacingLeading  Spacing = C.DM_SPACING_LEADING  // i (T / steps) + StepsOffset
	SpacingTrailing Spacing = C.DM_SPACING_TRAILING // starts at T - 1
	SpacingLinspace Spacing = C.DM_SPACING_LINSPACE // equally spaced from T - 1 to 0
	// those of steps + 1, without the last
	SpacingLinspaceInner Spacing = C.DM_SPACING_LINSPACE_INNER
	SpacingLeadingInner  Spacing = C.DM_SPACING_LEADING_INNER
)

func (Spacing) enumeration() string { return "dm_spacing" }

// String returns the name.
func (v Spacing) String() string { return enumName(v) }

// Variance is the variance of DDPM's steps.
type Variance int32

const (
	// learned if the network has one, else by the number of steps
	VarianceAuto Variance = C.DM_VARIANCE_AUTO
	// the posterior's
	VarianceFixedSmall Variance = C.DM_VARIANCE_FIXED_SMALL
	// beta
	VarianceFixedLarge Variance = C.DM_VARIANCE_FIXED_LARGE
	// of a network with LearnedVariance
	VarianceLearned Variance = C.DM_VARIANCE_LEARNED
)

func (Variance) enumeration() string { return "dm_variance" }

// String returns the name.
func (v Variance) String() string { return enumName(v) }

// Grid is how sigma is spaced between the first and the last level.
type Grid int32

const (
	GridAuto        Grid = C.DM_GRID_AUTO        // the solver's own
	GridTimesteps   Grid = C.DM_GRID_TIMESTEPS   // that of the spaced timesteps
	GridKarras      Grid = C.DM_GRID_KARRAS      // sigma^(1/rho) in equal steps
	GridExponential Grid = C.DM_GRID_EXPONENTIAL // log sigma in equal steps
)

func (Grid) enumeration() string { return "dm_grid" }

// String returns the name.
func (v Grid) String() string { return enumName(v) }

// Random is the source of random numbers.
type Random int32

const (
	RandomPhilox Random = C.DM_RANDOM_PHILOX // independent of batch and threads
	RandomTorch  Random = C.DM_RANDOM_TORCH  // PyTorch's CPU generator
)

func (Random) enumeration() string { return "dm_random" }

// String returns the name.
func (v Random) String() string { return enumName(v) }

// MemberType is the type of a C struct's member.
type MemberType int32

const (
	TypeI32      MemberType = C.DM_TYPE_I32
	TypeU32      MemberType = C.DM_TYPE_U32
	TypeI64      MemberType = C.DM_TYPE_I64
	TypeU64      MemberType = C.DM_TYPE_U64
	TypeF32      MemberType = C.DM_TYPE_F32
	TypeF64      MemberType = C.DM_TYPE_F64
	TypeChar     MemberType = C.DM_TYPE_CHAR // an array that holds a string
	TypeString   MemberType = C.DM_TYPE_STRING
	TypePointer  MemberType = C.DM_TYPE_POINTER
	TypeFunction MemberType = C.DM_TYPE_FUNCTION
)

func (MemberType) enumeration() string { return "dm_member_type" }

// String returns the name.
func (v MemberType) String() string { return enumName(v) }
