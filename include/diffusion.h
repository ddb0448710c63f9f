/* diffusion.h - train denoising diffusion models and sample from them, inside your own program.
 *
 * This header is the whole contract of libdiffusion, and its manual. It has three parts: the words
 * that every call shares (status, options, ownership), then one section for each handle, then
 * pictures.
 *
 *     dm_context    memory, threads, error text; everything else is made in one
 *     dm_schedule   how much noise each timestep adds
 *     dm_unet       the network
 *     dm_dataset    where training pictures come from
 *     dm_trainer    turns a dataset into trained weights
 *     dm_sampler    turns noise into pictures
 *
 * Promises. The library never prints, exits, aborts, installs signal handlers, reads the
 * environment or changes the locale or the floating-point mode. Every function that can fail
 * returns a status. The same seed gives the same bits with any number of threads, on one machine
 * with one build of the library. What is not promised: the same bits across processors of different
 * kind, or across BLAS libraries.
 *
 * Pictures are float [count, height, width, channels], channels last, in [-1, 1], unless a function
 * says uint8_t, where the range is 0 to 255.
 *
 * Threads. A context and all that was made in it belong to one thread at a time. Two exceptions: a
 * dm_schedule never changes once made, so that threads may share it for calls that succeed (one
 * that fails writes its context's error text); and dm_trainer_cancel and dm_sampler_cancel may be
 * called from any thread and from a signal handler. A context's threads do not survive a fork:
 * create contexts after it.
 *
 * Callbacks. A callback may call nothing of the object that calls it but its cancel function, and
 * may destroy nothing that the object was made from. It may use other contexts and their objects
 * freely.
 *
 * Ownership. What a create, load or open function gives belongs to the caller, who destroys it;
 * objects that one is made from (a trainer's network, say) must outlive it. A context must outlive
 * all its objects. Arrays are the caller's, and are not kept after the call returns unless the
 * function says so. Out parameters come first and are set to NULL on failure. Every destroy accepts
 * NULL.
 *
 * Options. A parameter of a way that was not chosen (rho without Karras's grid, huber_delta without
 * Huber's loss) has no effect; a few are checked for their range all the same. Options that
 * contradict each other are refused, and the error's text names both.
 *
 * Files. What the library writes is complete or not there: on failure the name keeps what stood
 * under it. A file that is replaced hands on its permissions; through a symbolic link, the file
 * that it leads to is replaced, and the link
 * stays. */
#ifndef DIFFUSION_H
#define DIFFUSION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DM_VERSION_MAJOR 0
#define DM_VERSION_MINOR 1
#define DM_VERSION_PATCH 0

#if defined(_WIN32)
#define DM_API
#elif defined(__GNUC__)
#define DM_API __attribute__((visibility("default")))
#else
#define DM_API
#endif

/* ---- Version and status
 * ------------------------------------------------------------------------------ */

/* MAJOR * 1000000 + MINOR * 1000 + PATCH of the library that is linked, which may be newer than the
 * header. */
DM_API uint32_t dm_version(void);
/* "0.1.0". The string lives for ever. */
DM_API const char *dm_version_string(void);
/* One line for bug reports: version, compiler, BLAS library, instruction set in use. It lives for
 * ever. */
DM_API const char *dm_build_info(void);

/* Status: 0 is success, errors are negative, values are never reused. */
enum {
    DM_OK = 0,
    DM_ERROR_INVALID_ARGUMENT = -1, /* a value is out of its range or NULL; the detail names it */
    DM_ERROR_OUT_OF_MEMORY = -2,    /* the allocator returned NULL */
    DM_ERROR_LIMIT_EXCEEDED = -3,   /* the context's memory limit would be passed */
    DM_ERROR_IO = -4,               /* the operating system refused to read or write */
    DM_ERROR_BAD_FORMAT = -5,       /* a file is not what it should be */
    DM_ERROR_UNSUPPORTED_VERSION = -6, /* a file or struct comes from a newer version */
    DM_ERROR_CHECKSUM = -7,            /* a file's contents do not match their checksum */
    DM_ERROR_SHAPE_MISMATCH = -8,      /* shapes that do not go together; a count that is not what
                                          the function says it must be */
    DM_ERROR_NOT_FOUND = -9,           /* no file, tensor or picture of that name or index */
    DM_ERROR_WRONG_STATE = -10,        /* the call does not fit what the object is doing */
    DM_ERROR_UNSUPPORTED = -11,        /* valid, but not something this build can do */
    DM_ERROR_CANCELLED = -12,          /* stopped by a cancel function or by a callback */
    DM_ERROR_NOT_FINITE = -13,         /* a loss or a picture became infinite or NaN */
    DM_ERROR_THREAD = -14,             /* a thread could not be started */
    DM_ERROR_CALLBACK_FAILED = -15,    /* a callback of the caller's reported failure */
    DM_ERROR_INTERNAL = -16            /* a defect of the library; please report it */
};

/* "DM_ERROR_IO" and "input or output failed" for DM_ERROR_IO. The strings live for ever. */
DM_API const char *dm_status_name(int32_t status);
DM_API const char *dm_status_message(int32_t status);

/* ---- Options
 * ------------------------------------------------------------------------------------------- Every
 * options struct is flat, begins with its own size and is filled with defaults by its init
 * function:
 *
 *     dm_trainer_options o;
 *     dm_trainer_options_init(&o, sizeof o);
 *     o.batch_size = 32;
 *
 * Later versions append members. A caller compiled against an older header keeps its behaviour. A
 * caller compiled against a newer one gets DM_ERROR_UNSUPPORTED_VERSION where it sets a member that
 * this library does not know. NULL options mean the defaults. The init functions fail only where
 * the struct is NULL or `size` is no size of a struct: it must be a multiple of 4, from 4 to
 * 4096. */

/* ---- Context
 * ------------------------------------------------------------------------------------------- */

typedef struct dm_context dm_context;

enum { DM_LOG_INFO = 0, DM_LOG_WARNING = 1 };

typedef struct dm_context_options {
    uint32_t struct_size;
    int32_t threads;       /* 1 to 256; 0, the default, means one for each processor */
    uint64_t memory_limit; /* bytes; 0, the default, means none. Counts all that the library
                              allocates itself, not what others allocate for it: the BLAS library's
                              buffers, the stacks of threads, and the parsing of a file's JSON
                              header, which is refused above 8 MB and may take some 16 times its
                              size while the file is open */
    /* malloc and free where NULL; both or neither must be set. `size` is what was asked for. */
    void *(*allocate)(void *user, size_t size);
    void (*release)(void *user, void *pointer, size_t size);
    void *allocator_user;
    /* Receives notes that are not errors and, as a warning, why dm_context_create failed; NULL:
     * they are dropped. */
    void (*log)(void *user, int32_t level, const char *message);
    void *log_user;
    /* The host's own threads in place of the library's: calls body(data, i) for every i from 0 to
     * count-1, in any order and on any threads, and returns when all have ended. `count` is at most
     * `threads`. */
    void (*parallel_for)(void *user, int32_t count, void (*body)(void *data, int32_t index),
                         void *data);
    void *parallel_user;
    int32_t profile;     /* 1: dm_context_profile_row tells where the time went; 0, the default */
    int32_t large_pages; /* 1: asks the system for large pages for blocks of 4 MB and more (not
                            those of `allocate`). A step then takes 1 to 3 % less time; the first
                            may take half a second more in a virtual machine that must first get
                            such pages from its host. 0, the default */
} dm_context_options;

DM_API int32_t dm_context_options_init(dm_context_options *options, size_t size);
/* Starts threads - 1 threads, unless parallel_for is given. They sleep while no call is under
 * way. */
DM_API int32_t dm_context_create(dm_context **out, const dm_context_options *options);
/* What went wrong in the last call that failed in this context: what, where and the value, as in
 * "unet: 'norm_groups' is 30; it must divide every entry of 'channels' (64)". Valid until the next
 * call. */
DM_API const char *dm_context_error(const dm_context *context);
/* Bytes in use now, the most that were ever in use, and the number of allocations so far. Each may
 * be NULL. */
DM_API int32_t dm_context_memory(const dm_context *context, uint64_t *used, uint64_t *peak,
                                 uint64_t *allocations);
/* Threads that compute, the calling one included. */
DM_API int32_t dm_context_threads(const dm_context *context);

/* Where the time of training and of a network's forward passes went, in a context made with
 * `profile`: a row for each operation, part of it and shape; a sampler's own work between the
 * passes is not told. It costs two readings of the clock for each of some hundred operations of a
 * step. */
typedef struct dm_profile_row {
    uint32_t struct_size;
    int32_t reserved;
    char operation[32]; /* "conv", "group_norm", "attention", "adamw" ... */
    char part[32];      /* "winograd forward", "winograd to weights" ... */
    char shape[48];     /* "16x32x32, 64 to 128": pictures, height, width, channels in and out */
    uint64_t calls;
    double seconds; /* of all calls */
    double flop; /* operations that the plain algorithm needs; a fast one gets by with fewer. 0: not
                    counted */
    double bytes; /* what must be read and written at the least, each array once */
} dm_profile_row;

DM_API int32_t dm_context_profile_rows(const dm_context *context, int32_t *rows);
/* Row `index`, from 0 to rows - 1, in the order in which they came up; row->struct_size must be
 * set. */
DM_API int32_t dm_context_profile_row(const dm_context *context, int32_t index,
                                      dm_profile_row *row);
/* Begins anew. */
DM_API int32_t dm_context_profile_reset(dm_context *context);
DM_API void dm_context_destroy(dm_context *context);

/* ---- Schedule
 * ------------------------------------------------------------------------------------------ The
 * way from picture to noise: x_t = signal_t x_0 + noise_t eps, eps standard normal, for timesteps 0
 * to T-1. With betas it is q(x_t | x_0) = N(sqrt(a_t) x_0, (1 - a_t) I) of Ho et al. (2020, eq. 4),
 * a the running product of 1 - beta, written alpha_cumprod below. Everything is computed and kept
 * in double precision. */

typedef struct dm_schedule dm_schedule;

enum {
    DM_SCHEDULE_LINEAR =
        0, /* beta from beta_start to beta_end in equal steps (Ho et al. 2020, sec. 4) */
    DM_SCHEDULE_COSINE =
        1,                         /* beta_t = min(1 - f((t+1)/T)/f(t/T), 0.999), f(u) =
                                      cos^2((u+0.008)/1.008 pi/2)        (Nichol and Dhariwal 2021, eq. 17) */
    DM_SCHEDULE_SCALED_LINEAR = 2, /* sqrt(beta) in equal steps (Rombach et al. 2022) */
    DM_SCHEDULE_SIGMOID = 3, /* beta = beta_start + (beta_end - beta_start) sigmoid(u), u from -6 to
                                6 in equal steps (Xu et al. 2022, GeoDiff) */
    DM_SCHEDULE_FLOW = 4, /* the straight line: signal 1 - s, noise s, at s = f u / (1 + (f-1) u), u
                             = (t+1)/T and f = flow_shift (Lipman et al. 2023; Esser et al. 2024,
                             eq. 23). The network is told s T */
    DM_SCHEDULE_EDM = 5 /* signal 1, noise sigma from sigma_min to sigma_max, sigma^(1/rho) in equal
                           steps (Karras et al. 2022, eq. 5). The network is told ln(sigma)/4, and
                           must predict DM_PREDICT_EDM */
};

typedef struct dm_schedule_options {
    uint32_t struct_size;
    int32_t kind;              /* DM_SCHEDULE_LINEAR */
    int32_t timesteps;         /* T: 1 to 100000; 1000 */
    int32_t zero_terminal_snr; /* of kinds with betas: 1: rescaled so that the last timestep is
                           noise alone, where eps says nothing: for networks that predict x_0 or v
                           (Lin et al. 2024, algorithm 1); 0 */
    double beta_start;         /* linear, scaled linear and sigmoid, in (0, 1); 1e-4 */
    double beta_end;           /* likewise; 0.02 */
    int32_t scale_betas; /* of these kinds: 1: both are multiplied by 1000 / T, so that a shorter
                            chain ends as noisy (Nichol and Dhariwal 2021); 0 */
    int32_t reserved;    /* 0 */
    double flow_shift;   /* flow: above 0; 1 */
    double sigma_min;    /* EDM: above 0; 0.002 */
    double sigma_max;    /* EDM: above sigma_min; 80 */
    double rho;          /* EDM: 1 to 100; 7 */
} dm_schedule_options;

/* The series that dm_schedule_get reads; each has T values. `a` stands for alpha_cumprod, a_prev
 * for that of the timestep before (1 for t = 0). Of flow and EDM, a is signal^2 / (signal^2 +
 * noise^2), and what follows from it is of the process with betas that is the same but for a factor
 * of x_t. */
enum {
    DM_SERIES_BETA = 0,
    DM_SERIES_ALPHA = 1,                        /* 1 - beta */
    DM_SERIES_ALPHA_CUMPROD = 2,                /* a: the product of alpha up to and including t */
    DM_SERIES_ALPHA_CUMPROD_PREV = 3,           /* a_prev */
    DM_SERIES_SQRT_ALPHA_CUMPROD = 4,           /* the signal's share of x_t */
    DM_SERIES_SQRT_ONE_MINUS_ALPHA_CUMPROD = 5, /* the noise's share of x_t */
    DM_SERIES_POSTERIOR_VARIANCE = 6,     /* beta (1 - a_prev) / (1 - a): eq. 7; 0 for t = 0 */
    DM_SERIES_POSTERIOR_LOG_VARIANCE = 7, /* its logarithm; for t = 0 that of t = 1, and where
                                             the variance is 0 (T = 1), log 1e-20 */
    DM_SERIES_POSTERIOR_MEAN_X0 = 8,      /* sqrt(a_prev) beta / (1 - a): eq. 7's factor of x_0 */
    DM_SERIES_POSTERIOR_MEAN_XT = 9, /* sqrt(alpha) (1 - a_prev) / (1 - a): eq. 7's factor of x_t */
    DM_SERIES_SNR = 10,              /* a / (1 - a) */
    DM_SERIES_SIGMA = 11,            /* sqrt((1 - a) / a) */
    DM_SERIES_SIGNAL = 12,           /* x_t = signal x_0 + noise eps */
    DM_SERIES_NOISE = 13,
    DM_SERIES_TIME = 14 /* what the network is told: t, or as the kind says */
};

DM_API int32_t dm_schedule_options_init(dm_schedule_options *options, size_t size);
DM_API int32_t dm_schedule_create(dm_schedule **out, dm_context *context,
                                  const dm_schedule_options *options);
/* From `count` betas of the caller's, each in (0, 1). */
DM_API int32_t dm_schedule_create_from_betas(dm_schedule **out, dm_context *context,
                                             const double *betas, size_t count);
/* The schedule that a checkpoint or network file was trained with. */
DM_API int32_t dm_schedule_load(dm_schedule **out, dm_context *context, const char *path);
/* T. */
DM_API int32_t dm_schedule_steps(const dm_schedule *schedule);
/* Copies one series into values, whose `count` must be T. */
DM_API int32_t dm_schedule_get(const dm_schedule *schedule, int32_t series, double *values,
                               size_t count);
/* x_t = signal_t x_0 + noise_t noise. x_t, x_start and noise hold count * elements floats, and
 * timesteps `count` integers from 0 to T-1, one for each picture. x_t may be x_start or noise. */
DM_API int32_t dm_schedule_add_noise(const dm_schedule *schedule, float *x_t, const float *x_start,
                                     const float *noise, const int32_t *timesteps, size_t count,
                                     size_t elements);
DM_API void dm_schedule_destroy(dm_schedule *schedule);

/* ---- U-Net
 * --------------------------------------------------------------------------------------------- The
 * network of Ho et al. (2020, appendix B), with the variations of later papers as options.
 * Parameters are named and shaped as in the state dict of diffusers' UNet2DModel, convolutions as
 * [out, in, 3, 3]. */

typedef struct dm_unet dm_unet;

enum { DM_MAX_LEVELS = 8 };

enum {
    DM_PRESET_TINY =
        0, /* base 32: widths 32, 64, 64: 1.1 million parameters, for trying things out */
    DM_PRESET_SMALL = 1, /* base 64: the tutorial's width, time embedding and 8 groups */
    DM_PRESET_DDPM_CIFAR10 =
        2 /* base 128: the CIFAR-10 network of Ho et al. (2020), 35,746,307 parameters */
};

/* What the network's output stands for. Samplers follow it. */
enum {
    DM_PREDICT_EPS = 0, /* the noise (Ho et al. 2020, eq. 14) */
    DM_PREDICT_X0 = 1,  /* the clean picture */
    DM_PREDICT_V = 2,   /* v = sqrt(a) eps - sqrt(1-a) x_0 (Salimans and Ho 2022, appendix D) */
    DM_PREDICT_FLOW =
        3, /* eps - x_0, the velocity on the straight line (Lipman et al. 2023, eq. 23) */
    DM_PREDICT_EDM = 4 /* F in x_0 = c_skip x + c_out F(c_in x) (Karras et al. 2022, eq. 7); the
                          network gets c_in x */
};

/* How the time embedding enters a residual block. */
enum {
    DM_TIME_ADD = 0, /* added after the first convolution (Ho et al. 2020) */
    DM_TIME_SCALE_SHIFT =
        1, /* norm(h) (1 + scale) + shift at the second norm (Nichol and Dhariwal 2021) */
    DM_TIME_ADD_OUTPUT =
        2 /* added to the block's output, before the shortcut (the tutorial's block) */
};

enum {
    DM_PAD_BOTTOM_RIGHT = 0, /* the downsampler pads bottom and right by one (Ho et al. 2020) */
    DM_PAD_ALL = 1           /* it pads all four sides by one */
};

typedef struct dm_unet_options {
    uint32_t struct_size;
    int32_t height;        /* pixels; divisible by 2^(levels-1); 32 */
    int32_t width;         /* likewise; 32 */
    int32_t in_channels;   /* 1 to 64; 3 */
    int32_t out_channels;  /* 1 to 64; 3 */
    int32_t levels;        /* 1 to DM_MAX_LEVELS; 4 */
    int32_t channels[8];   /* width of each level, a multiple of norm_groups; 64, 128, 128, 128 */
    int32_t blocks[8];     /* residual blocks of each level, 1 to 16 (one more on the way up); 2 */
    int32_t attention[8];  /* 1: an attention after each block of this level; 0, 1, 0, 0 */
    int32_t mid_attention; /* 1: attention between the two middle blocks; 1 */
    int32_t attention_head_size; /* channels a head; 0, the default: one head */
    int32_t norm_groups;         /* 32 */
    float norm_eps;              /* 1e-6 */
    float dropout;               /* in [0, 1), in training only; 0 */
    int32_t time_embedding;      /* DM_TIME_ADD */
    int32_t time_channels;       /* width of the time embedding; 0, the default: 4 * channels[0] */
    float time_frequency_shift;  /* frequencies exp(-ln 10000 i / (half - shift)); 1 in DDPM; 1 */
    int32_t time_cos_first;      /* 0: [sin | cos]; 1: [cos | sin]; 0 */
    int32_t downsample_padding;  /* DM_PAD_BOTTOM_RIGHT */
    int32_t classes;    /* labels 0 to classes-1, and `classes` for "no class"; 0: no labels */
    int32_t prediction; /* DM_PREDICT_EPS */
    int32_t learned_variance;  /* 1: the network has 2 out_channels; the second half says where the
                                  variance of DDPM's steps lies      (Nichol and Dhariwal 2021, eq.
                                  15); 0 */
    int32_t self_conditioning; /* 1: it takes 2 in_channels, the second half being the x_0 that it
                                  saw before, or 0 (Chen, Zhang and Hinton 2023); 0 */
    float sigma_data;          /* of DM_PREDICT_EDM: the standard deviation of the pictures; 0.5 */
    int32_t reserved;          /* 0 */
} dm_unet_options;

/* Which of a checkpoint's weights to load. */
enum {
    DM_WEIGHTS_AVERAGE =
        0, /* the moving average where the file has one, else the trained weights */
    DM_WEIGHTS_TRAINED = 1,   /* the weights as the last step left them */
    DM_WEIGHTS_AVERAGE_1 = 2, /* the further averages, more_decays[0] to [2] or more_half_lives[0]
                                 to [2] of the trainer */
    DM_WEIGHTS_AVERAGE_2 = 3,
    DM_WEIGHTS_AVERAGE_3 = 4
};

typedef struct dm_tensor_info {
    uint32_t struct_size;
    int32_t rank;     /* 1 to 4 */
    int64_t shape[4]; /* unused ones are 1 */
    uint64_t elements;
    const char *name; /* lives as long as the network */
} dm_tensor_info;

DM_API int32_t dm_unet_options_init(dm_unet_options *options, size_t size);
/* The defaults, then what the preset changes. */
DM_API int32_t dm_unet_options_preset(dm_unet_options *options, size_t size, int32_t preset);
/* A network with DDPM's initialisation drawn from `seed`: weights uniform in +-sqrt(6 / (fan_in +
 * fan_out)), biases 0, and practically 0 for what ends a block, an attention or the network. */
DM_API int32_t dm_unet_create(dm_unet **out, dm_context *context, const dm_unet_options *options,
                              uint64_t seed);
/* From a safetensors file that dm_unet_save or dm_trainer_save wrote. */
DM_API int32_t dm_unet_load(dm_unet **out, dm_context *context, const char *path, int32_t weights);
/* The same from `size` bytes in memory. */
DM_API int32_t dm_unet_load_memory(dm_unet **out, dm_context *context, const void *bytes,
                                   size_t size, int32_t weights);
/* Writes one safetensors file: the parameters, with the options and, where not NULL, the schedule
 * as metadata. It is complete or, on failure, not there: what stood under that name before
 * stays. */
DM_API int32_t dm_unet_save(const dm_unet *unet, const dm_schedule *schedule, const char *path);
DM_API int32_t dm_unet_get_options(const dm_unet *unet, dm_unet_options *options, size_t size);
DM_API uint64_t dm_unet_parameter_count(const dm_unet *unet);
DM_API size_t dm_unet_tensor_count(const dm_unet *unet);
/* The tensors in the order in which the network uses them. info->struct_size must be set. */
DM_API int32_t dm_unet_tensor_info(const dm_unet *unet, size_t index, dm_tensor_info *info);
/* One parameter by name, as [out, in, 3, 3], [out, in] or [n]; `count` must be its number of
 * elements. */
DM_API int32_t dm_unet_tensor_get(const dm_unet *unet, const char *name, float *values,
                                  size_t count);
DM_API int32_t dm_unet_tensor_set(dm_unet *unet, const char *name, const float *values,
                                  size_t count);
/* output [count, height, width, out_channels] for x_t [count, height, width, in_channels] (twice as
 * many channels out with learned_variance, and in with self_conditioning) and one timestep for each
 * picture: floats, since models conditioned on sigma need them (DM_SERIES_TIME). labels, `count` of
 * them, may be NULL where the network has no classes, or to say "no class". No dropout. The first
 * call with a new count allocates. */
DM_API int32_t dm_unet_forward(dm_unet *unet, float *output, const float *x_t,
                               const float *timesteps, const int32_t *labels, size_t count);
DM_API void dm_unet_destroy(dm_unet *unet);

/* ---- Dataset
 * -------------------------------------------------------------------------------------------
 * Pictures as uint8_t [height, width, channels] with a label each (-1: none). */

typedef struct dm_dataset dm_dataset;

enum { DM_SPLIT_TRAIN = 0, DM_SPLIT_TEST = 1 };

/* Fills one picture and its label; non-zero stops the work with DM_ERROR_CALLBACK_FAILED. */
typedef int32_t (*dm_dataset_read)(void *user, uint64_t index, uint8_t *pixels, int32_t *label);

/* CIFAR-10's binary version: cifar-10-binary.tar.gz as it is published, read without unpacking it
 * to disk, or a folder that holds its .bin files (or holds the folder cifar-10-batches-bin that
 * does). All is read here. */
DM_API int32_t dm_dataset_open_cifar10(dm_dataset **out, dm_context *context, const char *path,
                                       int32_t split);
/* Pictures that the library draws as they are read: a shape in each, ten shapes, so ten classes.
 * Colour, position, size, turn and background vary without end: picture `index` of a seed is always
 * the same. size: 16 to 64 pixels each way; count: how many make an epoch. */
DM_API int32_t dm_dataset_open_builtin(dm_dataset **out, dm_context *context, int32_t size,
                                       uint64_t count, uint64_t seed);
/* `count` pictures [count, height, width, channels] and, where not NULL, their labels. Neither
 * pixels nor labels are copied: both must outlive the dataset. Height and width are 1 to 65536
 * each, channels 1 to 64. */
DM_API int32_t dm_dataset_from_memory(dm_dataset **out, dm_context *context, const uint8_t *pixels,
                                      const int32_t *labels, uint64_t count, int32_t height,
                                      int32_t width, int32_t channels);
/* `count` pictures, at most 2^56, that `read` fills in one after another; sizes as from memory. */
DM_API int32_t dm_dataset_from_callback(dm_dataset **out, dm_context *context, dm_dataset_read read,
                                        void *user, uint64_t count, int32_t height, int32_t width,
                                        int32_t channels);
/* Each out parameter may be NULL. `classes` is 0 where there are no labels, and where a callback
 * gives them; from memory it is one more than the largest label. */
DM_API int32_t dm_dataset_size(const dm_dataset *dataset, uint64_t *count, int32_t *height,
                               int32_t *width, int32_t *channels, int32_t *classes);
/* One picture; `count` must be height * width * channels; label may be NULL. */
DM_API int32_t dm_dataset_get(const dm_dataset *dataset, uint64_t index, uint8_t *pixels,
                              size_t count, int32_t *label);
/* "airplane", "circle", or NULL where the label has no name. It lives as long as the dataset. */
DM_API const char *dm_dataset_class_name(const dm_dataset *dataset, int32_t label);
DM_API void dm_dataset_destroy(dm_dataset *dataset);

/* ---- Trainer
 * -------------------------------------------------------------------------------------------
 * Algorithm 1 of Ho et al. (2020): the error of what the network predicts, by default its mean
 * square, at levels of noise that are drawn, by default uniformly from the timesteps; AdamW
 * (Loshchilov and Hutter 2019); moving averages of the weights. Target and input follow from the
 * schedule and from the network's 'prediction'. */

typedef struct dm_trainer dm_trainer;

enum { DM_DECAY_NONE = 0, DM_DECAY_LINEAR = 1, DM_DECAY_COSINE = 2 };

/* What a training step computes a second time on its way back, in place of keeping it since the
 * forward pass. It takes longer in less memory, and changes no bit of any result. */
enum {
    DM_RECOMPUTE_NONE = 0,
    DM_RECOMPUTE_PASSES =
        1, /* what takes one pass over memory: group norms, concatenations, dropout */
    DM_RECOMPUTE_BLOCKS = 2 /* and the inside of residual blocks and attention (Chen et al. 2016) */
};

/* Which levels of noise are trained on. */
enum {
    DM_TIMESTEPS_UNIFORM = 0, /* any timestep as likely as another */
    DM_TIMESTEPS_LOSS_AWARE =
        1, /* likely as the root of the mean square of a timestep's last 10 losses, with a uniform
              share of 0.001; what is drawn more often counts less, so that the gradient's mean
              stays the same. Uniform until each timestep has 10 losses (Nichol and Dhariwal 2021,
              sec. 3.3) */
    DM_TIMESTEPS_LOGIT_NORMAL = 2, /* flow: u = 1 / (1 + exp(-n)), n normal with logit_mean and
                                      logit_std, in place of (t+1)/T: any level between 0 and 1,
                                      shifted by flow_shift (Esser et al. 2024, eq. 19) */
    DM_TIMESTEPS_LOG_NORMAL =
        3 /* EDM: ln(sigma) normal with log_sigma_mean and log_sigma_std: any level above 0, those
             beyond sigma_min and sigma_max too (Karras et al. 2022, table 1) */
};

/* What is made of the error d of an element. */
enum {
    DM_LOSS_SQUARES = 0, /* d^2 */
    DM_LOSS_HUBER = 1, /* 2 delta^2 (sqrt(1 + (d/delta)^2) - 1), delta = huber_delta: d^2 where d is
                          small, 2 delta |d| where it is large */
    DM_LOSS_HYBRID =
        2 /* networks with learned_variance, and only these: d^2 of eps, and bound_lambda times T
             times the term of the variational bound in bits, whose gradient goes to the variance
             alone (Nichol and Dhariwal 2021, eq. 16) */
};

/* What a picture's loss is multiplied by. SNR is signal^2 / noise^2. Under DM_PREDICT_EDM it is 1,
 * as in Karras et al. (2022). */
enum {
    DM_LOSS_WEIGHT_SIMPLE = 0,  /* 1 (Ho et al. 2020, eq. 14) */
    DM_LOSS_WEIGHT_MIN_SNR = 1, /* min(SNR, min_snr_gamma) of the error of x_0, whatever is
                                   predicted (Hang et al. 2023) */
    DM_LOSS_WEIGHT_P2 =
        2, /* 1 / (p2_k + SNR)^p2_gamma of the error of eps, likewise (Choi et al. 2022) */
    DM_LOSS_WEIGHT_BOUND = 3 /* eps: beta / (2 alpha noise^2), the bound's, of a variance of beta
                                (Ho et al. 2020, eq. 12) */
};

/* What weight_decay is. */
enum {
    DM_OPTIMIZER_ADAMW = 0, /* the weights shrink by learning_rate * weight_decay in each step
                               (Loshchilov and Hutter 2019) */
    DM_OPTIMIZER_ADAM = 1   /* L2: weight_decay times the weights is added to the gradients, after
                               clipping (Kingma and Ba 2015) */
};

enum { DM_MORE_AVERAGES = 3 };

typedef struct dm_trainer_options {
    uint32_t struct_size;
    int32_t batch_size;    /* pictures in one pass, 1 to 4096; 64 */
    int32_t accumulation;  /* passes whose gradients make one step, 1 to 4096; 1 */
    int32_t flip;          /* 1: half of the pictures are mirrored left to right; 0 */
    uint64_t seed;         /* 0 */
    double learning_rate;  /* 0 to 1e6; 1e-4 */
    double beta1;          /* 0.9 */
    double beta2;          /* 0.999 */
    double adam_eps;       /* 1e-8 */
    double weight_decay;   /* decoupled, at most 1 / learning_rate then; 0 to 1e6; 0 */
    double gradient_clip;  /* largest norm of all gradients together; 0: no clipping; 1 */
    double average_decay;  /* of the moving average of the weights; 0: none is kept; 0.9999 */
    uint64_t warmup_steps; /* the rate rises linearly over these; 0 */
    uint64_t
        decay_steps; /* and falls until this step, after which it stays; needed with a decay; 0 */
    int32_t decay;   /* DM_DECAY_NONE */
    int32_t average_warmup;    /* 1: the average's decay is min(average_decay, (1 + step) / (10 +
                                  step)); 1 */
    double final_rate;         /* what is left of learning_rate at decay_steps, as a fraction; 0 */
    int32_t use_labels;        /* 1: the dataset's labels reach a network that has classes; 1 */
    int32_t recompute;         /* DM_RECOMPUTE_NONE */
    int32_t timestep_sampling; /* DM_TIMESTEPS_UNIFORM */
    int32_t loss;              /* DM_LOSS_SQUARES */
    int32_t loss_weight;       /* DM_LOSS_WEIGHT_SIMPLE; of a hybrid loss it is that of d^2 */
    int32_t optimizer;         /* DM_OPTIMIZER_ADAMW */
    int32_t crop_padding;      /* the dataset's pictures are padded by so many pixels all around, by
                                  reflection (without repeating      the edge), and cut out again at
                                  random;      below the height and width; 0 */
    int32_t reserved;          /* 0 */
    double logit_mean;         /* of DM_TIMESTEPS_LOGIT_NORMAL, -100 to 100; 0 */
    double logit_std;          /* above 0, at most 100; 1 */
    double log_sigma_mean;     /* of DM_TIMESTEPS_LOG_NORMAL, -10 to 10; -1.2 */
    double log_sigma_std;      /* above 0, at most 5; 1.2 */
    double huber_delta;        /* 1e-6 to 1e6; 0.1 */
    double bound_lambda;  /* of DM_LOSS_HYBRID, 0 to 1000; 0.001, with which the bound's terms count
                             T / 1000 */
    double min_snr_gamma; /* above 0, at most 1e6; 5 */
    double p2_k;          /* above 0, at most 1e6; 1 */
    double p2_gamma;      /* 0 to 10; 1 */
    double label_dropout; /* at this rate a picture's label gives way to "no class", for
                             classifier-free guidance (Ho and Salimans 2022); of pictures that have
                             labels; 0 to 1; 0 */
    double self_conditioning_rate; /* networks with self_conditioning: this share of the passes
                                  first asks the network without a gradient, and gives it the x_0
                                  that it saw, clipped to [-1, 1], the second time; one draw for all
                                  pictures of a pass; the others get 0 (Chen, Zhang and Hinton
                                  2023); 0 to 1; 0.5 */
    double average_half_life; /* in pictures, in place of average_decay, which must be 0 then: decay
                                 0.5^(pictures a step / half-life) (Karras et al. 2022); at most
                                 some 1e7 times those pictures, beyond which a float stands still;
                                 0: none */
    double average_rampup; /* half-lives are at most this times the pictures seen before the step,
                              so that early weights are forgotten; 0: they are not limited; 0.05 */
    double more_decays[3]; /* further averages: as average_decay, with average_warmup; 0: none */
    double more_half_lives[3]; /* or as average_half_life; of each average one of both; 0: none */
} dm_trainer_options;

typedef struct dm_train_stats {
    uint32_t struct_size;
    int32_t refused; /* 1: the loss or a gradient was not finite or too large, and the weights were
                        left alone */
    uint64_t step;   /* steps done, this one included */
    uint64_t images; /* pictures seen in all steps so far */
    double epoch;    /* images / size of the dataset */
    double loss; /* of this step: by default the mean squared error, else as the options make and
                    weigh it */
    double gradient_norm; /* before clipping */
    double learning_rate;
    double seconds; /* that the step took */
} dm_train_stats;

/* A batch of the caller's for dm_trainer_step_batch. */
typedef struct dm_train_batch {
    uint32_t struct_size;
    int32_t reserved;      /* 0 */
    uint64_t count;        /* must be batch_size * accumulation */
    const float *images;   /* [count, height, width, channels] in [-1, 1] */
    const int32_t *labels; /* [count], or NULL */
    const float *noise;    /* like images; NULL: drawn from the trainer's seed */
    const int32_t
        *timesteps; /* [count], 0 to T-1; NULL: drawn likewise, as timestep_sampling says */
} dm_train_batch;

/* Called after every step of dm_trainer_run; non-zero stops it with DM_ERROR_CANCELLED. */
typedef int32_t (*dm_train_callback)(void *user, const dm_train_stats *stats);

DM_API int32_t dm_trainer_options_init(dm_trainer_options *options, size_t size);
/* The network is trained in place: use it only between steps while it has a trainer. The network
 * and dataset must outlive the trainer; the schedule is copied. dataset may be NULL where only
 * dm_trainer_step_batch is used. All memory for training is allocated here; the steps allocate
 * nothing. */
DM_API int32_t dm_trainer_create(dm_trainer **out, dm_unet *unet, const dm_schedule *schedule,
                                 const dm_dataset *dataset, const dm_trainer_options *options);
/* Goes on from a file of dm_trainer_save, bit for bit as if it had never stopped. `unet` must have
 * the shapes of the file (dm_unet_load gives such a one) and gets its weights; schedule and options
 * come from the file. The dataset must be that of before; one with another count of pictures is
 * DM_ERROR_SHAPE_MISMATCH. */
DM_API int32_t dm_trainer_resume(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                                 const char *path);
DM_API int32_t dm_trainer_get_options(const dm_trainer *trainer, dm_trainer_options *options,
                                      size_t size);
/* One step on the dataset's next pictures, in an order shuffled anew each epoch. stats may be NULL,
 * else its struct_size must be set. A loss or gradient that is not finite, or gradients whose norm
 * after clipping is above 1e18 (their squares would overflow), give DM_ERROR_NOT_FINITE: the step
 * is counted, the weights, the average and the moments stay as they were. */
DM_API int32_t dm_trainer_step(dm_trainer *trainer, dm_train_stats *stats);
/* One step on pictures of the caller's. */
DM_API int32_t dm_trainer_step_batch(dm_trainer *trainer, const dm_train_batch *batch,
                                     dm_train_stats *stats);
/* Steps until `steps` of them are done in all, counted from the trainer's first. Refused steps are
 * reported to the callback and passed over; ten in a row end the run with DM_ERROR_NOT_FINITE. */
DM_API int32_t dm_trainer_run(dm_trainer *trainer, uint64_t steps, dm_train_callback callback,
                              void *user);
DM_API uint64_t dm_trainer_steps_done(const dm_trainer *trainer);
/* Replaces learning_rate, before warm-up and decay. */
DM_API int32_t dm_trainer_set_learning_rate(dm_trainer *trainer, double learning_rate);
/* Copies the moving average of the weights into `target`, a network of the same options that this
 * trainer does not train. */
DM_API int32_t dm_trainer_get_average(const dm_trainer *trainer, dm_unet *target);
/* The same of one of several: 0 is that of average_decay or average_half_life, 1 to 3 are those of
 * more_decays[0] to [2] or more_half_lives[0] to [2]. DM_ERROR_WRONG_STATE where that one is not
 * kept. */
DM_API int32_t dm_trainer_get_average_at(const dm_trainer *trainer, int32_t index, dm_unet *target);
/* One safetensors file with everything: weights, averages, both moments, the losses that timesteps
 * are drawn by, step, seed, place in the data, options. */
DM_API int32_t dm_trainer_save(const dm_trainer *trainer, const char *path);
/* Makes the current run, or where there is none the next call that has a step to do, return
 * DM_ERROR_CANCELLED after the step under way. It stands until a call has returned that. Safe in a
 * signal handler. */
DM_API void dm_trainer_cancel(dm_trainer *trainer);
DM_API void dm_trainer_destroy(dm_trainer *trainer);

/* ---- Sampler
 * ------------------------------------------------------------------------------------------- */

typedef struct dm_sampler dm_sampler;

/* How a sampler goes from one level of noise to the next. dm_solver_advice says when to use which.
 * The number of times that the network is asked is that of the steps, but where it is told. */
enum {
    DM_SOLVER_DDPM =
        0, /* ancestral sampling (Ho et al. 2020, algorithm 2), over all or fewer timesteps */
    DM_SOLVER_DDIM = 1, /* Song, Meng and Ermon (2021), eq. 12; deterministic where eta is 0 */
    DM_SOLVER_PNDM = 2, /* Liu et al. (2022): Runge-Kutta at the first 3 steps, then as PLMS; asks 9
                           times more */
    DM_SOLVER_PLMS = 3, /* the same with a second-order start; asks once more */
    DM_SOLVER_EULER = 4, /* Karras et al. (2022), algorithm 2 without its second half */
    DM_SOLVER_EULER_ANCESTRAL =
        5, /* a step of Euler's below the next level, and noise up to it (k-diffusion) */
    DM_SOLVER_HEUN = 6, /* Karras et al. (2022), algorithms 1 and 2; asks 2 n - 1 times */
    DM_SOLVER_DPM2 =
        7, /* the midpoint rule over log sigma (Lu et al. 2022, DPM-Solver-2); asks 2 n - 1 times */
    DM_SOLVER_LMS = 8,   /* linear multistep over sigma, order 1 to 4 (k-diffusion) */
    DM_SOLVER_DPMPP = 9, /* DPM-Solver++ (Lu et al. 2022), multistep, order 1 to 3 */
    DM_SOLVER_DPMPP_SINGLE =
        10, /* the same, singlestep: its steps are the times that the network is asked */
    DM_SOLVER_DPMPP_SDE = 11, /* the same for the stochastic equation, multistep, order 1 to 2 */
    DM_SOLVER_UNIPC = 12,     /* Zhao et al. (2023), UniPC-p with B(h) = exp(h) - 1, order 1 to 3 */
    DM_SOLVER_DEIS = 13,      /* Zhang and Chen (2023), tAB-DEIS in log rho, order 1 to 3 */
    DM_SOLVER_FLOW_EULER =
        14, /* Euler's steps along the line of the flow schedule (Lipman et al. 2023) */
    DM_SOLVER_FLOW_HEUN = 15 /* Heun's; asks 2 n - 1 times */
};

/* Which n of the T timesteps are visited, from the noisiest down. */
enum {
    DM_SPACING_LEADING = 0,  /* i (T / n) + steps_offset, T / n rounded down */
    DM_SPACING_TRAILING = 1, /* round(T - i T / n) - 1: begins at T-1 */
    DM_SPACING_LINSPACE = 2, /* n values from 0 to T-1, rounded half to even */
    DM_SPACING_CUSTOM = 3    /* the caller's `timesteps` */
};

enum {
    DM_VARIANCE_FIXED_SMALL = 0, /* the posterior's variance */
    DM_VARIANCE_FIXED_LARGE = 1, /* beta_t (of the respaced steps), as DDPM samples CIFAR-10 */
    DM_VARIANCE_LEARNED = 2      /* between the two, in logarithms, as the network says (Nichol and
                                    Dhariwal 2021, eq. 15);      needs a network with learned_variance */
};

/* Between the same two ends, the sigma = noise / signal that steps go through. */
enum {
    DM_GRID_TIMESTEPS = 0,  /* those of the timesteps that `spacing` chooses */
    DM_GRID_KARRAS = 1,     /* sigma^(1/rho) in equal steps (Karras et al. 2022, eq. 5) */
    DM_GRID_EXPONENTIAL = 2 /* log sigma in equal steps */
};

typedef struct dm_sampler_options {
    uint32_t struct_size;
    int32_t solver;          /* DM_SOLVER_DDIM */
    int32_t steps;           /* 1 to T; 50. With a custom list: its length */
    int32_t spacing;         /* DM_SPACING_TRAILING */
    int32_t steps_offset;    /* added to leading timesteps; 0 */
    int32_t variance;        /* DDPM: DM_VARIANCE_FIXED_LARGE */
    int32_t clip;            /* 1: the predicted x_0 is clipped to [-1, 1] at every step; 1 */
    int32_t rederive_eps;    /* DDIM: 1: eps is derived again from the clipped x_0; 0: it stays as
                                predicted; -1, the default:    it stays unless there is guidance, which
                                is    clipped much, and what is clipped would stay as    noise. All
                                other    solvers derive it again, always */
    int32_t final_alpha_one; /* 1: the last step goes to the clean picture; 0: to timestep 0's level
                                of noise; 1. Not DDPM */
    int32_t batch_size;      /* pictures that go through the network at once, 1 to 4096; 16 */
    double eta;              /* DDIM: 0, the default, deterministic; 1, as noisy as DDPM */
    const int32_t *timesteps; /* custom spacing: `steps` of them, strictly falling; copied */
    int32_t order; /* of solvers that have one: 1 to 3, of the stochastic one 2, of LMS 4; 0, the
                      default: 2, LMS 4 */
    int32_t lower_order_final; /* 1: the order falls to 1 towards the last step: of DPM-Solver++ and
                                  DEIS in samplers of fewer than 15 steps, of UniPC and the
                                  singlestep one always; 1 */
    int32_t grid;              /* solvers from Euler to DEIS: DM_GRID_TIMESTEPS */
    int32_t prediction; /* what the caller takes the network to predict, DM_PREDICT_*: a network of
                           another kind is refused; -1, the default: what it does predict */
    double rho;         /* Karras's grid: 1 to 100; 7 */
    double churn;     /* Euler, Heun: S_churn of Karras et al. 2022, algorithm 2: noise added before
                         each step; 0 */
    double churn_min; /* where sigma is at least this; 0 */
    double churn_max; /* and at most this; 1e300 */
    double churn_noise; /* S_noise; 1 */
    double guidance; /* classifier-free (Ho and Salimans 2022): output = without class + guidance *
                        (with - without); 1, the default: none. Both halves go through the network
                        in one batch */
    double guidance_rescale; /* 0 to 1: how far the guided output is brought back to the spread of
                                that with the class (Lin et al. 2024, eq. 15, 16); 0 */
    double guidance_begin;   /* it is guided where t / T is from guidance_begin to guidance_end, 0
                                clean and 1 noise */
    double guidance_end;     /* (Kynkaanniemi et al. 2024); 0 and 1 */
    double
        threshold; /* dynamic thresholding (Saharia et al. 2022): this quantile of |x_0|, at least
                      1, is the limit, by which x_0 is divided after; 0: none; needs clip; 0 */
    double threshold_max; /* but at most this; 1e300 */
} dm_sampler_options;

/* Called after each step with the number of steps done and in all, for the pictures first to first
 * + count - 1 of the request, as they stand: x_t and the x_0 predicted from it, both [count, h, w,
 * c]. Non-zero stops the run with DM_ERROR_CANCELLED. */
typedef int32_t (*dm_sampler_progress)(void *user, int32_t step, int32_t steps, const float *x_t,
                                       const float *x_0, size_t first, size_t count);
/* Writes the noise for one step of pictures first to first + count - 1, `elements` floats each, in
 * place of the library's. step 0 is the noise that sampling starts from, step i that which step i
 * adds. What a mask keeps, and RePaint's way back, take the library's all the same. */
typedef int32_t (*dm_noise_source)(void *user, int32_t step, float *noise, size_t first,
                                   size_t count, size_t elements);
/* A network of the caller's: output like x_t, for pictures that all stand at one timestep. */
typedef int32_t (*dm_denoiser)(void *user, float *output, const float *x_t, float timestep,
                               const int32_t *labels, size_t count, size_t elements);

/* Where noise comes from. */
enum {
    DM_RANDOM_PHILOX =
        0, /* Philox 4x32-10 (Salmon et al. 2011): the same for any batch, order and thread */
    DM_RANDOM_TORCH =
        1 /* PyTorch's CPU generator: picture i is what torch.Generator().manual_seed(seed + i) and
             torch.randn((1, c, h, w)) at each use of noise give there */
};

typedef struct dm_sampler_request {
    uint32_t struct_size;
    int32_t random; /* DM_RANDOM_PHILOX */
    uint64_t count; /* pictures, 1 to 65536 */
    uint64_t seed;  /* picture i has the seed `seed` + i, and is the same alone and in any batch */
    const uint64_t *seeds; /* [count], in place of seed + i; or NULL */
    const int32_t *labels; /* [count], of each picture its class or -1, no class; NULL: no class */
    const float *start; /* [count, h, w, c]: x_T in place of drawn noise, of which then nothing is
                           drawn, so that with DM_RANDOM_TORCH later noise is what the beginning
                           would have been; or NULL */
    dm_noise_source noise; /* or NULL */
    void *noise_user;
    dm_sampler_progress progress; /* or NULL */
    void *progress_user;
    const float *image; /* [count, h, w, c] in [-1, 1]: what is begun from with `strength`, what
                           `mask` keeps, or what dm_sampler_invert takes to noise; or NULL */
    const float *mask; /* [count, h, w] in [0, 1]: 1 where it is to be drawn, 0 where it stays as in
                          `image`; or NULL */
    double strength; /* above 0, at most 1: the share of the steps, the last ones, that `image` goes
                        through after as much noise has been added to it (SDEdit, Meng et al. 2022);
                        1: all, from noise alone */
    int32_t repaint_times; /* with a mask: how often each stretch of steps is gone through (RePaint,
                              Lugmayr et al. 2022, algorithm 1), 1 to 100; of solvers without a
                              memory; 1 */
    int32_t repaint_jump;  /* steps of a stretch; 10 */
    uint64_t mask_elements; /* floats of `mask`: count * h * w, without channels; needed with it */
} dm_sampler_request;

/* The number of solvers, which are 0 to this - 1. Of each its name, "ddim", and in one line when to
 * use it; NULL where there is no such solver. They live for ever. */
DM_API int32_t dm_solver_count(void);
DM_API const char *dm_solver_name(int32_t solver);
DM_API const char *dm_solver_advice(int32_t solver);

DM_API int32_t dm_sampler_options_init(dm_sampler_options *options, size_t size);
/* Samples with `unet`, and follows what it predicts. Both unet and schedule must outlive the
 * sampler. */
DM_API int32_t dm_sampler_create(dm_sampler **out, dm_unet *unet, const dm_schedule *schedule,
                                 const dm_sampler_options *options);
/* Samples with a network of the caller's, which predicts `prediction` for pictures of the given
 * shape. */
DM_API int32_t dm_sampler_create_with_denoiser(dm_sampler **out, dm_context *context,
                                               const dm_schedule *schedule, dm_denoiser denoiser,
                                               void *user, int32_t prediction, int32_t height,
                                               int32_t width, int32_t channels,
                                               const dm_sampler_options *options);
DM_API int32_t dm_sampler_request_init(dm_sampler_request *request, size_t size);
/* The timesteps that it visits, in their order, rounded to whole ones; `count` must be
 * dm_sampler_steps. */
DM_API int32_t dm_sampler_steps(const dm_sampler *sampler);
DM_API int32_t dm_sampler_timesteps(const dm_sampler *sampler, int32_t *timesteps, size_t count);
/* Fills images [count, h, w, c]; `elements` must be their number of floats in all. */
DM_API int32_t dm_sampler_run(dm_sampler *sampler, const dm_sampler_request *request, float *images,
                              size_t elements);
/* What a run of that request begins with, x_T: to be changed, or gone between (dm_interpolate), and
 * be a later request's `start`. The network is not asked. */
DM_API int32_t dm_sampler_begin(dm_sampler *sampler, const dm_sampler_request *request,
                                float *noise, size_t elements);
/* The way back, from pictures to the noise that DDIM makes them of (Song, Meng and Ermon 2021,
 * sec. 4.3): noise [count, h, w, c] from the request's `image`, to be a later request's `start`. It
 * keeps most of the picture, not all, and more with more steps; of networks that predict eps more
 * than of others, which are asked at a level that x has not reached yet, as in diffusers. Of DDIM
 * with eta 0. */
DM_API int32_t dm_sampler_invert(dm_sampler *sampler, const dm_sampler_request *request,
                                 float *noise, size_t elements);
/* Between two pictures of noise, on the arc (Shoemake 1985): out = sin((1-w) u)/sin u a + sin(w
 * u)/sin u b, u the angle between them, w from 0 to 1. Where they are nearly parallel, on the line.
 * out may be a or b. */
DM_API int32_t dm_interpolate(float *out, const float *a, const float *b, double weight,
                              size_t elements);
/* Makes the current run, or where there is none the next call that has a step to do, return
 * DM_ERROR_CANCELLED after the step under way. It stands until a call has returned that. Safe in a
 * signal handler. */
DM_API void dm_sampler_cancel(dm_sampler *sampler);
DM_API void dm_sampler_destroy(dm_sampler *sampler);

/* ---- Evaluation
 * ---------------------------------------------------------------------------------------- How well
 * a network knows pictures that it may not have been trained on: the variational bound on their
 * likelihood (Ho et al. 2020, eq. 5), in bits for each of a picture's values, and the error of what
 * it predicts by quarters of the timesteps. */

typedef struct dm_evaluation_options {
    uint32_t struct_size;
    int32_t batch_size; /* pictures through the network at once, 1 to 4096; 16 */
    uint64_t first;     /* the dataset's pictures from this one on; 0 */
    uint64_t count;     /* at most; 0: all that follow; 256 */
    uint64_t seed;      /* 0 */
    int32_t timesteps;  /* of each picture at most, beside the first: one from each of so many
                           stretches of the T - 1  others, which counts for its stretch: an estimate
                           without bias; 0: all of them; 20 */
    int32_t variance;   /* of the steps, DM_VARIANCE_*, also of a network that has learned one:
                           DM_VARIANCE_LEARNED must be   asked for. Of the last step, L_0, both fixed
                           ones are the posterior's, as in Ho et al.;   DM_VARIANCE_FIXED_LARGE */
    int32_t clip;       /* 1: the x_0 that the network sees is clipped to [-1, 1]; 1 */
    int32_t use_labels; /* 1: the dataset's labels reach a network that has classes; 1 */
} dm_evaluation_options;

typedef struct dm_evaluation {
    uint32_t struct_size;
    int32_t reserved;
    uint64_t pictures;
    double bits; /* a value: what all of the terms come to. Of schedules with betas; else NaN, like
                    the terms */
    double standard_error; /* of that, by how pictures differ; 0 of a single one */
    double prior_bits;     /* L_T: what is left of the picture in x_T */
    double step_bits;      /* L_1 to L_(T-1) */
    double decoder_bits;   /* L_0: from the last step to bytes */
    double loss[4]; /* mean squared error of what the network predicts, at the first quarter of the
                       timesteps (the cleanest) to the last; NaN of a quarter of which nothing was
                       asked */
} dm_evaluation;

/* Called after each batch with the questions to the network done and in all; non-zero stops with
 * DM_ERROR_CANCELLED. */
typedef int32_t (*dm_evaluation_progress)(void *user, uint64_t done, uint64_t all);

DM_API int32_t dm_evaluation_options_init(dm_evaluation_options *options, size_t size);
/* result->struct_size must be set. A picture's part depends on the seed, its place in the dataset
 * and how many timesteps are asked, not on its batch. A self-conditioned network is shown 0 for the
 * x_0 that it saw before. The dataset must be of the network's context. progress may be NULL. */
DM_API int32_t dm_unet_evaluate(dm_unet *unet, const dm_schedule *schedule,
                                const dm_dataset *dataset, const dm_evaluation_options *options,
                                dm_evaluation_progress progress, void *user, dm_evaluation *result);

/* ---- Pictures
 * ------------------------------------------------------------------------------------------
 * uint8_t [height, width, channels] with 1 channel (grey), 3 (RGB) or 4 (RGBA). */

/* round((x + 1) * 127.5), clamped to 0..255; what is not a number gives 0. */
DM_API int32_t dm_image_to_u8(uint8_t *pixels, const float *images, size_t count);
/* x / 127.5 - 1, in float. */
DM_API int32_t dm_image_from_u8(float *images, const uint8_t *pixels, size_t count);
/* The size of a grid of `count` pictures, `columns` a row, each enlarged `scale` times, with `gap`
 * pixels around. */
DM_API int32_t dm_image_grid_size(size_t count, int32_t height, int32_t width, int32_t columns,
                                  int32_t scale, int32_t gap, int32_t *grid_height,
                                  int32_t *grid_width);
/* Draws that grid on white into grid [grid_height, grid_width, channels], of `grid_count` bytes. */
DM_API int32_t dm_image_grid(uint8_t *grid, size_t grid_count, const uint8_t *images, size_t count,
                             int32_t height, int32_t width, int32_t channels, int32_t columns,
                             int32_t scale, int32_t gap);
/* *size bytes of PNG into buffer; where `capacity` is too small, or buffer NULL, only *size is set
 * (to a bound that suffices), and the status is DM_OK for a NULL buffer and
 * DM_ERROR_INVALID_ARGUMENT otherwise. */
DM_API int32_t dm_image_encode_png(dm_context *context, uint8_t *buffer, size_t capacity,
                                   size_t *size, const uint8_t *pixels, int32_t height,
                                   int32_t width, int32_t channels);
/* Complete or not there, as all files that the library writes. */
DM_API int32_t dm_image_write_png(dm_context *context, const char *path, const uint8_t *pixels,
                                  int32_t height, int32_t width, int32_t channels);
/* An animated PNG of `frames` pictures [frames, height, width, channels] that loops for ever, each
 * shown for delay_ms and the last for last_delay_ms, both 0 to 65535. Viewers without animation
 * show the last picture. */
DM_API int32_t dm_image_write_apng(dm_context *context, const char *path, const uint8_t *pixels,
                                   int32_t frames, int32_t height, int32_t width, int32_t channels,
                                   int32_t delay_ms, int32_t last_delay_ms);

#ifdef __cplusplus
}
#endif

#endif
