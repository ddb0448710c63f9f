// SPDX-License-Identifier: MIT

package diffusion

// #include <diffusion.h>
import "C"

// The enumerations of networks and their files, as those of enums.go.

// Resample is how a level of a network halves or doubles the size.
type Resample int32

const (
	ResampleConv   Resample = C.DM_RESAMPLE_CONV   // a convolution
	ResampleResnet Resample = C.DM_RESAMPLE_RESNET // a residual block
	ResampleNone   Resample = C.DM_RESAMPLE_NONE   // mean or nearest neighbour alone
	ResampleSkip   Resample = C.DM_RESAMPLE_SKIP   // a level of NCSN++
)

func (Resample) enumeration() string { return "dm_resample" }

// String returns the name.
func (v Resample) String() string { return enumName(v) }

// Activation is the activation function of residual blocks.
type Activation int32

const (
	ActivationSiLU Activation = C.DM_ACTIVATION_SILU // x sigmoid(x)
	ActivationMish Activation = C.DM_ACTIVATION_MISH // x tanh(ln(1 + exp(x)))
	ActivationGELU Activation = C.DM_ACTIVATION_GELU // x P(n < x), n standard normal
	ActivationReLU Activation = C.DM_ACTIVATION_RELU // max(x, 0)
)

func (Activation) enumeration() string { return "dm_activation" }

// String returns the name.
func (v Activation) String() string { return enumName(v) }

// TimeFeatures is what the embedding of the time begins with.
type TimeFeatures int32

const (
	TimeSinusoidal TimeFeatures = C.DM_TIME_SINUSOIDAL // sines and cosines of the time
	TimeFourier    TimeFeatures = C.DM_TIME_FOURIER    // random Fourier features of its logarithm
	TimeLearned    TimeFeatures = C.DM_TIME_LEARNED    // a row of a table
)

func (TimeFeatures) enumeration() string { return "dm_time_features" }

// String returns the name.
func (v TimeFeatures) String() string { return enumName(v) }

// Condition is how a condition vector enters the embedding of the time.
type Condition int32

const (
	ConditionLinear   Condition = C.DM_CONDITION_LINEAR   // through a linear layer
	ConditionIdentity Condition = C.DM_CONDITION_IDENTITY // as it is
	ConditionTime     Condition = C.DM_CONDITION_TIME     // one number, embedded like the time
)

func (Condition) enumeration() string { return "dm_condition" }

// String returns the name.
func (v Condition) String() string { return enumName(v) }

// Part is a part of a block that is built by recipe.
type Part int32

const (
	PartEnd              Part = C.DM_PART_END               // no further part
	PartResnet           Part = C.DM_PART_RESNET            // wide residual block
	PartConvNeXt         Part = C.DM_PART_CONVNEXT          // depthwise 7x7 and two 1x1 convolutions
	PartClassAttention   Part = C.DM_PART_CLASS_ATTENTION   // the class mixes channels
	PartAttention        Part = C.DM_PART_ATTENTION         // self-attention in windows
	PartChannelAttention Part = C.DM_PART_CHANNEL_ATTENTION // gates of channels from their means
)

func (Part) enumeration() string { return "dm_part" }

// String returns the name.
func (v Part) String() string { return enumName(v) }

// Initialization is how the weights of a network begin.
type Initialization int32

const (
	InitializationDDPM  Initialization = C.DM_INITIALIZATION_DDPM  // as NewUNet
	InitializationTorch Initialization = C.DM_INITIALIZATION_TORCH // PyTorch's default
)

func (Initialization) enumeration() string { return "dm_initialization" }

// String returns the name.
func (v Initialization) String() string { return enumName(v) }

// Precision is how a file holds weights.
type Precision int32

const (
	PrecisionF32  Precision = C.DM_PRECISION_F32  // float32
	PrecisionF16  Precision = C.DM_PRECISION_F16  // to 65504
	PrecisionBF16 Precision = C.DM_PRECISION_BF16 // the range of float32
)

func (Precision) enumeration() string { return "dm_precision" }

// String returns the name.
func (v Precision) String() string { return enumName(v) }
