/* SPDX-License-Identifier: MIT */
/* diffusion.h - train denoising diffusion models and sample from them, inside your own program.
 *
 * This header is the whole interface of libdiffusion and its reference manual:
 *
 *     dm_context    memory, threads and error text; every other object is created in a context
 *     dm_schedule   how much noise each timestep adds
 *     dm_unet       the network
 *     dm_dataset    the source of training images
 *     dm_trainer    trains a network on a dataset
 *     dm_sampler    turns noise into images with a network or with a function of yours
 *
 * Guarantees. The library never prints, exits, aborts, installs a signal handler, reads the
 * environment, or changes the locale or the floating-point mode. Every function that can fail
 * returns a status. The same inputs and seeds give the same bits with any number of threads, on one
 * machine with one build. The same bits are not promised across different processors, builds or
 * BLAS libraries.
 *
 * Images are float [count, height, width, channels] (channels last) in [-1, 1] unless a function
 * takes uint8_t, whose range is 0 to 255.
 *
 * Ownership. Objects returned by a create, load or share function belong to the caller, who
 * destroys them; the objects that one was created from, and its context, must outlive it. Every
 * destroy function accepts NULL. Arrays belong to the caller and are not kept after the call unless
 * the function says so. An object is returned through the first parameter, which is NULL on
 * failure.
 *
 * Threads. Objects may be used from any thread, but calls on one context and its objects must not
 * overlap. A call that overlaps another returns DM_ERROR_WRONG_STATE, writes no error text (so
 * dm_context_error still has an older one, as after a call with NULL for its object) and does
 * nothing but set handles and sizes that it would give to NULL and 0; a destroy function that
 * overlaps destroys nothing. The exceptions, which may be called at any time from any thread, are
 * dm_trainer_cancel and dm_sampler_cancel (also from signal handlers), dm_context_get_memory,
 * functions that take no object, and functions that return a property that never changes and no
 * status (dm_*_context, dm_sampler_shape, dm_unet_parameter_count and the like). Different contexts
 * are independent.
 *
 * Processes. After fork() a child may use and destroy its copies of objects if no call was in
 * progress in any context of the process; work runs on the calling thread there. Otherwise it must
 * leave them alone.
 *
 * Floating point. Results are for rounding to nearest with denormal numbers. In another mode of the
 * calling thread they differ, but not with the number of threads, which take over its mode; files
 * hold the same numbers in every mode, and the mode stays as it was.
 *
 * Callbacks receive `user` first, run on the thread that called the library, and stop the work by
 * returning non-zero. Before that, a callback may store a reason with dm_callback_fail; the call
 * then returns DM_ERROR_CALLBACK_FAILED and the reason is part of its error text. Pointers that a
 * callback receives are valid until it returns. It must return: no exception and no longjmp may
 * pass through the library. While it runs, it may call the cancel functions, dm_callback_fail,
 * functions that take no object, dm_options_set and dm_options_get, the dm_image_ functions,
 * dm_context_error_copy and dm_context_get_memory of its own context, and anything of another
 * context. Every other call in its own context returns DM_ERROR_WRONG_STATE. Allocator, log and
 * parallel_for callbacks may call nothing of their context.
 *
 * Files are complete or absent: on failure, an existing file of that name stays.
 */
#ifndef DIFFUSION_H
#define DIFFUSION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DM_VERSION_MAJOR 0
#define DM_VERSION_MINOR 9
#define DM_VERSION_PATCH 0
/* The header's version for #if: MAJOR * 1000000 + MINOR * 1000 + PATCH. */
#define DM_VERSION (DM_VERSION_MAJOR * 1000000 + DM_VERSION_MINOR * 1000 + DM_VERSION_PATCH)

#if defined(_WIN32) && defined(DM_BUILDS_DLL)
#define DM_API __declspec(dllexport)
#elif defined(__GNUC__) && !defined(_WIN32)
#define DM_API __attribute__((visibility("default")))
#else
#define DM_API
#endif

/* ---- Version and status -----------------------------------------------------------------------*/

/* The version of the linked library, in the form of DM_VERSION. It may differ from the header's. */
DM_API uint32_t dm_version(void);
/* "0.9.0". Static storage. */
DM_API const char *dm_version_string(void);
/* One line for bug reports: version, compiler, BLAS library, instruction set. Static storage. */
DM_API const char *dm_build_info(void);
/* 1 where this build has a feature and this processor supports it, else 0. Features: "blas",
 * "openblas", "blis", "avx2", "avx512", "neon", "bf16" (instructions for products of
 * bfloat16; every build computes with it). Unknown names give 0. */
DM_API int32_t dm_feature(const char *name);

/* Every enumeration is an int32_t. Its typedef names the enumeration that a member or parameter
 * takes; at run time dm_enum_name and dm_enum_value translate between values and names. */
typedef int32_t dm_status;
enum {
    DM_OK = 0,
    DM_ERROR_INVALID_ARGUMENT = -1,    /* a value is out of range, NULL, or contradicts another */
    DM_ERROR_OUT_OF_MEMORY = -2,       /* the allocator returned NULL */
    DM_ERROR_LIMIT_EXCEEDED = -3,      /* the context's memory limit would be exceeded */
    DM_ERROR_IO = -4,                  /* the operating system failed to read or write */
    DM_ERROR_BAD_FORMAT = -5,          /* a file's contents are malformed */
    DM_ERROR_UNSUPPORTED_VERSION = -6, /* a file or struct comes from a newer version */
    DM_ERROR_CHECKSUM = -7,            /* a file's contents do not match their checksum */
    DM_ERROR_SHAPE_MISMATCH = -8,      /* shapes, counts or sizes do not match */
    DM_ERROR_NOT_FOUND = -9,           /* no file, tensor or image has that name or index */
    DM_ERROR_WRONG_STATE = -10, /* the call overlaps another, or the object cannot do this now */
    DM_ERROR_UNSUPPORTED = -11, /* valid, but not available in this build */
    DM_ERROR_CANCELLED = -12,   /* stopped by a cancel function or a callback */
    DM_ERROR_NOT_FINITE = -13,  /* a loss, image, weight, EMA or moment is infinite or NaN */
    DM_ERROR_THREAD = -14,      /* a thread could not be started */
    DM_ERROR_CALLBACK_FAILED = -15, /* a callback reported failure */
    DM_ERROR_INTERNAL = -16         /* a defect of the library; please report it */
};

/* "DM_ERROR_IO" and "input or output failed" for DM_ERROR_IO. Static storage. */
DM_API const char *dm_status_name(dm_status status);
DM_API const char *dm_status_message(dm_status status);

/* ---- Structs and enumerations by name ---------------------------------------------------------
 * Every struct below is flat and starts with its own size. Its init function takes sizeof the
 * struct, stores it and sets the defaults:
 *
 *     dm_trainer_options o;
 *     dm_trainer_options_init(&o, sizeof o);
 *     o.batch_size = 32;
 *
 * Later versions only append members. A caller compiled against an older header keeps its
 * behaviour; a caller compiled against a newer one gets DM_ERROR_UNSUPPORTED_VERSION if it sets a
 * member that this library does not know. A NULL options pointer means the defaults. Members named
 * `padding` must be 0 or NULL. An init function fails only if the struct is NULL, or if `size` ends
 * within a member or is not a multiple of 4 from 16 to 4096. Structs that a function fills must be
 * initialised too. Members without a default must be set. A parameter of a method that is not
 * selected is ignored, except that its range is checked; what the selected method cannot do is
 * refused, with the names of both options.
 *
 * The functions of this section let another language read the layout, defaults, ranges and names at
 * run time instead of copying them. Returned strings have static storage. */

typedef int32_t dm_member_type;
enum {
    DM_TYPE_I32 = 0,
    DM_TYPE_U32 = 1,
    DM_TYPE_I64 = 2,
    DM_TYPE_U64 = 3,
    DM_TYPE_F32 = 4,
    DM_TYPE_F64 = 5,
    DM_TYPE_CHAR = 6,    /* an array of char that holds a string */
    DM_TYPE_STRING = 7,  /* const char * */
    DM_TYPE_POINTER = 8, /* any other pointer to data */
    DM_TYPE_FUNCTION = 9 /* a pointer to a function */
};

typedef struct dm_member_info {
    uint32_t struct_size;
    dm_member_type type;
    uint32_t offset;       /* bytes from the start of the struct */
    uint32_t count;        /* elements of an array member, else 1 */
    uint32_t element_size; /* bytes of one element */
    int32_t saved;         /* 1: files keep this option */
    double minimum;   /* range of each element; of an enumeration if not all values are allowed */
    double maximum;   /* both 0 where there is no range */
    const char *name; /* "batch_size" */
    const char *enumeration;  /* "dm_solver", or NULL where the member is no enumeration */
    const char *default_text; /* "64", "mse", "64,128,128,128"; NULL where there is no default */
    const char *help;         /* one line */
} dm_member_info;

DM_API dm_status dm_member_info_init(dm_member_info *info, size_t size);
/* Structs are numbered from 0 to dm_struct_count() - 1; NULL past the end. */
DM_API int32_t dm_struct_count(void);
DM_API const char *dm_struct_name(int32_t index);
/* sizeof the struct as this library knows it, or 0 if the name is unknown. */
DM_API size_t dm_struct_size(const char *name);
/* Member `index`, from 0, of a struct. DM_ERROR_NOT_FOUND past the last member or for an unknown
 * name. */
DM_API dm_status dm_struct_member(const char *name, int32_t index, dm_member_info *info);

/* Enumerations are numbered from 0 to dm_enum_type_count() - 1, as "dm_solver". */
DM_API int32_t dm_enum_type_count(void);
DM_API const char *dm_enum_type_name(int32_t index);
/* The number of values of an enumeration, or 0 if the name is unknown; value `index` of them. */
DM_API int32_t dm_enum_count(const char *name);
DM_API dm_status dm_enum_item(const char *name, int32_t index, int32_t *value);
/* "ddim" for ("dm_solver", DM_SOLVER_DDIM), and one line about it; NULL if there is no such
 * value. */
DM_API const char *dm_enum_name(const char *name, int32_t value);
DM_API const char *dm_enum_help(const char *name, int32_t value);
/* The reverse of dm_enum_name. DM_ERROR_NOT_FOUND if there is no such name. */
DM_API dm_status dm_enum_value(const char *name, const char *text, int32_t *value);

/* ---- Context ----------------------------------------------------------------------------------*/

typedef struct dm_context dm_context;

typedef int32_t dm_log_level;
enum { DM_LOG_INFO = 0, DM_LOG_WARNING = 1 };

typedef struct dm_context_options {
    uint32_t struct_size;
    int32_t threads;       /* 1 to 256; 0: one for each processor. Default: 0. */
    uint64_t memory_limit; /* bytes; 0: none. Default: 0. Counts what the library allocates, not the
                              buffers of BLAS, thread stacks, or small blocks of the C
                              library */
    int32_t profile;       /* 1: measure for dm_context_profile_row. Default: 0. */
    int32_t large_pages;   /* 1: ask the system for large pages for blocks of 4 MB and more, unless
                              `allocate` is set. Saves 1 to 3 % of a step. Default: 0. */
    /* Replace malloc and free; set both or neither. `size` is the requested number of bytes. With
     * dm_unet_share other threads call them too, and they must stay valid until the last share is
     * destroyed. Default: NULL. */
    void *(*allocate)(void *user, size_t size);
    void (*release)(void *user, void *pointer, size_t size);
    void *allocator_user;
    /* Receives notes that are not errors. Default: NULL, which drops them. */
    void (*log)(void *user, dm_log_level level, const char *message);
    void *log_user;
    /* Runs body(data, i) for i = 0 to count - 1, in any order, on any threads, and returns when all
     * have ended; `count` is at most `threads`. Default: NULL, the context's own threads. */
    void (*parallel_for)(void *user, int32_t count, void (*body)(void *data, int32_t index),
                         void *data);
    void *parallel_user;
    void *padding;
    int32_t latency; /* 1: forward passes and sampling use the algorithms that are fastest for one
                        image or a few; the default's are fastest for eight and more. Between the
                        two, results differ in their last bits; within either, an image's bits
                        depend neither on its batch nor on the threads. Training is the same in
                        both. Default: 0. */
    int32_t padding_last;
} dm_context_options;

DM_API dm_status dm_context_options_init(dm_context_options *options, size_t size);
/* Starts threads - 1 threads unless parallel_for is given; they sleep between calls. On failure the
 * reason is written to `error` (`capacity` bytes, shortened to fit), which may be NULL. */
DM_API dm_status dm_context_create(dm_context **out, const dm_context_options *options, char *error,
                                   size_t capacity);
/* The reason for the last failure in this context, as in "unet: 'norm_groups' is 30; it must divide
 * every entry of 'channels' (64 at level 0)". Valid until the next call, and must not be read while
 * another thread is in a call. Functions that take no object write no text. */
DM_API const char *dm_context_error(const dm_context *context);
/* The same, copied to `text` and shortened to `capacity` bytes. *size, if not NULL, becomes the
 * size of the whole text with its final 0. */
DM_API dm_status dm_context_error_copy(const dm_context *context, char *text, size_t capacity,
                                       size_t *size);
/* In a callback: the reason why it is about to return non-zero. `text` is copied. */
DM_API dm_status dm_callback_fail(dm_context *context, const char *text);
/* Bytes in use, the largest number so far, and the number of allocations so far. Each may be
 * NULL. */
DM_API dm_status dm_context_get_memory(const dm_context *context, uint64_t *used, uint64_t *peak,
                                       uint64_t *allocations);
/* Threads that compute, the caller's included. */
DM_API int32_t dm_context_threads(const dm_context *context);
/* Objects should be destroyed before their context. If networks of this context exist or are
 * shared, that is reported through the log and the context is destroyed with the last of them. */
DM_API void dm_context_destroy(dm_context *context);

/* Where the time of training steps and forward passes went, in a context created with `profile`:
 * one row for each operation, part and shape, in order of first use. */
typedef struct dm_profile_row {
    uint32_t struct_size;
    int32_t padding;
    char operation[32]; /* "conv", "group_norm", "attention", "adamw" ... */
    char part[32];      /* "winograd forward", "winograd backward weight" ... */
    char shape[48];     /* "16x32x32, 64 to 128": images, height, width, channels in and out */
    uint64_t calls;
    double seconds; /* of all calls */
    double flop;    /* operations of the direct algorithm; 0: not counted */
    double bytes;   /* memory traffic if each array moved once */
} dm_profile_row;

DM_API dm_status dm_profile_row_init(dm_profile_row *row, size_t size);
DM_API dm_status dm_context_get_profile_rows(const dm_context *context, int32_t *rows);
/* Row `index`, from 0. */
DM_API dm_status dm_context_get_profile_row(const dm_context *context, int32_t index,
                                            dm_profile_row *row);
DM_API dm_status dm_context_profile_reset(dm_context *context);

/* Sets a member of an options struct from text: a number, the name of an enumeration's value, or a
 * comma-separated list for an array, whose missing entries become 0. `name` is the struct's, as in
 * dm_options_set(context, "dm_sampler_options", &options, "solver", "ddim"). The struct must have
 * been initialised. Names, numbers and ranges are checked; members that are pointers are refused.
 * The context, which receives the error text, may be NULL. */
DM_API dm_status dm_options_set(dm_context *context, const char *name, void *options,
                                const char *member, const char *value);
/* The member as text that dm_options_set accepts, shortened to `capacity` bytes. *size, if not
 * NULL, becomes the size of the whole text with its final 0. */
DM_API dm_status dm_options_get(dm_context *context, const char *name, const void *options,
                                const char *member, char *text, size_t capacity, size_t *size);

/* ---- Schedule ---------------------------------------------------------------------------------
 * The forward process x_t = signal_t x_0 + noise_t eps, eps standard normal, for timesteps 0 to
 * T-1. With betas it is q(x_t | x_0) = N(sqrt(a_t) x_0, (1 - a_t) I) of Ho et al. (2020, eq. 4),
 * where a_t, the product of 1 - beta up to t, is called alpha_cumprod. Computed and kept in double
 * precision. A schedule never changes; samplers and trainers of other contexts may use it too. */

typedef struct dm_schedule dm_schedule;

typedef int32_t dm_schedule_kind;
enum {
    DM_SCHEDULE_LINEAR = 0, /* beta from beta_start to beta_end in equal steps (Ho et al. 2020,
                               sec. 4) */
    DM_SCHEDULE_COSINE = 1, /* beta_t = min(1 - f((t+1)/T) / f(t/T), 0.999) with
                               f(u) = cos^2((u + 0.008) / 1.008 pi/2) (Nichol and Dhariwal 2021,
                               eq. 17) */
    DM_SCHEDULE_SCALED_LINEAR = 2, /* sqrt(beta) in equal steps (Rombach et al. 2022) */
    DM_SCHEDULE_SIGMOID = 3, /* beta = beta_start + (beta_end - beta_start) sigmoid(u), u from -6 to
                                6 in equal steps (Xu et al. 2022, GeoDiff) */
    DM_SCHEDULE_FLOW = 4,    /* straight line: signal 1 - s, noise s, s = f u / (1 + (f-1) u),
                                u = (t+1)/T, f = flow_shift (Lipman et al. 2023; Esser et al. 2024,
                                eq. 23). The network's time input is s T */
    DM_SCHEDULE_EDM = 5,   /* signal 1, noise sigma, sigma^(1/rho) in equal steps from sigma_min to
                              sigma_max (Karras et al. 2022, eq. 5). The time input is
                              time_scale ln(sigma) / 4; needs DM_PREDICT_EDM or
                              DM_PREDICT_CONSISTENCY */
    DM_SCHEDULE_CUSTOM = 6 /* custom betas: only reported, by dm_schedule_get_options */
};

typedef struct dm_schedule_options {
    uint32_t struct_size;
    dm_schedule_kind kind;     /* Default: DM_SCHEDULE_COSINE. */
    int32_t timesteps;         /* T, 1 to 100000. Default: 1000. */
    int32_t zero_terminal_snr; /* 1: rescale the betas so that the last timestep has no signal, for
                                  networks that predict x_0 or v (Lin et al. 2024, algorithm 1).
                                  Default: 0. */
    double beta_start;         /* linear, scaled linear and sigmoid; in (0, 1). Default: 1e-4. */
    double beta_end;           /* likewise. Default: 0.02. */
    int32_t scale_betas; /* linear, scaled linear and sigmoid; 1: multiply both by 1000 / T, so
                            that a shorter chain ends as noisy (Nichol and Dhariwal 2021).
                            Default: 0. */
    int32_t padding;
    double flow_shift;       /* flow; above 0, at most 1e6. Default: 1. */
    double sigma_min;        /* EDM; 1e-6 to 1e6. Default: 0.002. */
    double sigma_max;        /* EDM; above sigma_min, at most 1e6. Default: 80. */
    double rho;              /* EDM; 1 to 100. Default: 7. */
    double time_scale;       /* EDM; factor of the time input, at most 1e6; 0: 1. Default: 0. */
    int32_t float32_tables;  /* kinds with betas; 1: beta and alpha_cumprod as diffusers computes
                                them  in float32: bit for bit, but for the last bit of some betas of
                                sigmoid and zero_terminal_snr, whose exponential and square root
                                PyTorch rounds otherwise. Default: 0. */
    int32_t terminal_signal; /* zero_terminal_snr; 1: the last alpha_cumprod is 2^-24 in place of 0,
                                as in diffusers' schedulers over sigma, where 0 would be infinite.
                                Default: 0. */
} dm_schedule_options;

/* Series of T values. `a` is alpha_cumprod, a_prev that of the timestep before (1 for t = 0). Flow
 * and EDM have no betas; for them, a is signal^2 / (signal^2 + noise^2), and the series are those
 * of the process with betas that differs by a factor of x_t alone. */
typedef int32_t dm_series;
enum {
    DM_SERIES_BETA = 0,
    DM_SERIES_ALPHA = 1,                        /* 1 - beta */
    DM_SERIES_ALPHA_CUMPROD = 2,                /* a, the product of alpha up to and including t */
    DM_SERIES_ALPHA_CUMPROD_PREV = 3,           /* a_prev */
    DM_SERIES_SQRT_ALPHA_CUMPROD = 4,           /* sqrt(a) */
    DM_SERIES_SQRT_ONE_MINUS_ALPHA_CUMPROD = 5, /* sqrt(1 - a) */
    DM_SERIES_POSTERIOR_VARIANCE = 6,     /* beta (1 - a_prev) / (1 - a) (eq. 7); 0 for t = 0 */
    DM_SERIES_POSTERIOR_LOG_VARIANCE = 7, /* its logarithm; for t = 0 that of t = 1; log 1e-20
                                             where the variance is 0 (T = 1) */
    DM_SERIES_POSTERIOR_MEAN_X0 = 8,      /* sqrt(a_prev) beta / (1 - a), eq. 7's x_0 factor */
    DM_SERIES_POSTERIOR_MEAN_XT = 9,      /* sqrt(alpha) (1 - a_prev) / (1 - a), x_t's */
    DM_SERIES_SNR = 10,                   /* a / (1 - a) */
    DM_SERIES_SIGMA = 11,                 /* sqrt((1 - a) / a) */
    DM_SERIES_SIGNAL = 12,                /* x_t = signal x_0 + noise eps */
    DM_SERIES_NOISE = 13,
    DM_SERIES_TIME = 14 /* the network's time input: t, or as the kind says */
};

DM_API dm_status dm_schedule_options_init(dm_schedule_options *options, size_t size);
DM_API dm_status dm_schedule_create(dm_schedule **out, dm_context *context,
                                    const dm_schedule_options *options);
/* From `count` betas, each in (0, 1), for timesteps 0 to count - 1. */
DM_API dm_status dm_schedule_create_from_betas(dm_schedule **out, dm_context *context,
                                               const double *betas, size_t count);
/* The schedule stored in a file of dm_trainer_save or dm_unet_save, or in its `size` bytes. Has the
 * errors of dm_unet_load, except for those of tensors. */
DM_API dm_status dm_schedule_load(dm_schedule **out, dm_context *context, const char *path);
DM_API dm_status dm_schedule_load_memory(dm_schedule **out, dm_context *context, const void *bytes,
                                         size_t size);
DM_API dm_context *dm_schedule_context(const dm_schedule *schedule);
DM_API dm_status dm_schedule_get_options(const dm_schedule *schedule, dm_schedule_options *options,
                                         size_t size);
/* T; 0 for NULL. */
DM_API int32_t dm_schedule_timesteps(const dm_schedule *schedule);
/* Copies one series to values [T]; `count` must be T. */
DM_API dm_status dm_schedule_get_series(const dm_schedule *schedule, dm_series series,
                                        double *values, size_t count);
/* The level of noise at a timestep in [0, T-1], whole or fractional: x = signal x_0 + noise eps,
 * and `time`, the network's time input. Each pointer may be NULL. */
DM_API dm_status dm_schedule_get_level(const dm_schedule *schedule, double timestep, double *signal,
                                       double *noise, double *time);
/* x_t = signal_t x_0 + noise_t noise. x_t, x_0 and noise hold count * elements floats; timesteps
 * holds `count` integers from 0 to T-1. x_t may be x_0 or noise. */
DM_API dm_status dm_schedule_add_noise(const dm_schedule *schedule, float *x_t, const float *x_0,
                                       const float *noise, const int32_t *timesteps, size_t count,
                                       size_t elements);
DM_API void dm_schedule_destroy(dm_schedule *schedule);

/* ---- U-Net ------------------------------------------------------------------------------------
 * The network of Ho et al. (2020, appendix B) with the variants of later papers. Parameters have
 * the names and shapes of diffusers' UNet2DModel; convolution weights are [out, in, k, k]. */

typedef struct dm_unet dm_unet;

enum { DM_LEVELS_MAX = 8 };

typedef int32_t dm_preset;
enum {
    DM_PRESET_TINY = 0,         /* channels 32, 64, 64; 1.1 million parameters; predicts v */
    DM_PRESET_SMALL = 1,        /* channels 64, 128, 128, 128 with 8 groups; predicts v */
    DM_PRESET_DDPM_CIFAR10 = 2, /* the CIFAR-10 network of Ho et al. (2020): 35,746,307 parameters,
                                  predicts eps; its schedule is DM_SCHEDULE_LINEAR */
    DM_PRESET_RECIPE_64 = 3, /* a recipe of resnet, class_attention and channel_attention for 64x64
                                pixels and 1000 classes: channels 128, 256, 512, 1024; predicts eps
                                and variances: docs/networks.md */
    DM_PRESET_RECIPE_32 = 4  /* the same for 32x32 pixels and 10 classes: channels 32, 64, 128,
                                256 */
};

typedef int32_t dm_prediction;
enum {
    DM_PREDICT_ANY = -1, /* only as expected_prediction of a sampler */
    DM_PREDICT_EPS = 0,  /* the noise (Ho et al. 2020, eq. 14) */
    DM_PREDICT_X0 = 1,   /* the clean image */
    DM_PREDICT_V = 2,    /* sqrt(a) eps - sqrt(1-a) x_0 (Salimans and Ho 2022, appendix D) */
    DM_PREDICT_FLOW = 3, /* eps - x_0, the velocity on the straight line (Lipman et al. 2023,
                            eq. 23) */
    DM_PREDICT_EDM = 4,  /* F in x_0 = c_skip x + c_out F(c_in x) (Karras et al. 2022, eq. 7); the
                            network's input is c_in x */
    DM_PREDICT_CONSISTENCY = 5 /* the same F where x_0 is not the mean of the images that x may
                                  come from but one of them, the end of x's path (Song et al. 2023);
                                  c_skip and c_out have sigma - sigma_min in place of sigma, c_out
                                  in its numerator alone (their appendix C). Only sampled, with
                                  DM_SOLVER_CONSISTENCY; the published networks have a time_scale of
                                  1000 */
};

/* Where the time embedding enters a residual block. */
typedef int32_t dm_time_embedding;
enum {
    DM_TIME_ADD = 0,         /* added after the first convolution (Ho et al. 2020) */
    DM_TIME_SCALE_SHIFT = 1, /* norm(h) (1 + scale) + shift at the second norm (Nichol and Dhariwal
                                2021) */
    DM_TIME_ADD_OUTPUT = 2   /* added to the block's output, before the shortcut */
};

/* How a 3x3 convolution of stride 2 pads its input. */
typedef int32_t dm_padding;
enum {
    DM_PAD_BOTTOM_RIGHT = 0, /* one row below and one column at the right (Ho et al. 2020) */
    DM_PAD_ALL = 1           /* one row and column on all sides */
};

/* How a level of the network halves or doubles the size. */
typedef int32_t dm_resample;
enum {
    DM_RESAMPLE_CONV = 0,   /* 3x3 convolution of stride 2; nearest neighbour, then 3x3 convolution
                               (Ho et al. 2020) */
    DM_RESAMPLE_RESNET = 1, /* a residual block with a 2x2 mean or nearest neighbour before its
                               first convolution and in its shortcut (Dhariwal and Nichol 2021) */
    DM_RESAMPLE_NONE = 2,   /* the 2x2 mean or nearest neighbour alone, without weights */
    DM_RESAMPLE_SKIP = 3    /* a level of NCSN++ (Song et al. 2021, appendix H): as
                               DM_RESAMPLE_RESNET with the filter (1, 3, 3, 1), a pyramid of the
                               input image that is added to the encoder and one of outputs in the
                               decoder, min(c / 4, 32) groups, and blocks that divide their sum
                               with the shortcut by sqrt(2) */
};

/* The activation function of residual blocks. */
typedef int32_t dm_activation;
enum {
    DM_ACTIVATION_SILU = 1, /* x sigmoid(x), also called swish */
    DM_ACTIVATION_MISH = 2, /* x tanh(ln(1 + exp(x))) (Misra 2020) */
    DM_ACTIVATION_GELU = 3, /* x P(n < x), n standard normal (Hendrycks and Gimpel 2016) */
    DM_ACTIVATION_RELU = 4  /* max(x, 0) */
};

/* What the embedding of the time begins with. */
typedef int32_t dm_time_features;
enum {
    DM_TIME_SINUSOIDAL = 0, /* channels[0] sines and cosines of the time (Vaswani et al. 2017); with
                               a recipe as many as time_channels */
    DM_TIME_FOURIER = 1,    /* 2 channels[0] sines and cosines of ln(time) times random frequencies
                               that are not trained; the output is divided by the time (Song et al.
                               2021) */
    DM_TIME_LEARNED = 2     /* a row of a table with time_steps rows of channels[0] */
};

/* How a condition vector enters the embedding of the time, to which it is added. */
typedef int32_t dm_condition;
enum {
    DM_CONDITION_LINEAR = 0,   /* through a linear layer */
    DM_CONDITION_IDENTITY = 1, /* as it is: condition_size must be that of the time embedding */
    DM_CONDITION_TIME = 2 /* condition_size 1: embedded like the time, with weights of its own, and
                             with the rules of times for time_features: with DM_TIME_FOURIER it is
                             above 0, so it cannot be left out */
};

/* A part of a block that is built by recipe. */
typedef int32_t dm_part;
enum {
    DM_PART_END = 0,
    DM_PART_RESNET = 1,           /* wide residual block with weight standardisation (Zagoruyko and
                                     Komodakis 2016; Qiao et al. 2019) */
    DM_PART_CONVNEXT = 2,         /* depthwise 7x7 and two 1x1 convolutions (Liu et al. 2022) */
    DM_PART_CLASS_ATTENTION = 3,  /* an attention of the class to itself mixes the C channels of h =
                                     norm(x): x + norm(conv1x1(y)), y_c the sum over d of A_cd h_d,
                                     A the softmax over d of k_c q_d / sqrt(C), q and k linear in
                                     the class's embedding */
    DM_PART_ATTENTION = 4,        /* self-attention in windows of attention_window by
                                     attention_window pixels, whose products are divided by
                                     sqrt(attention_window) */
    DM_PART_CHANNEL_ATTENTION = 5 /* gates of channels from their means (Wang et al. 2020, ECA) */
};

/* The type of a file's weights, which are float32 in memory; and the type in which a network
 * computes, F32 or BF16. With BF16 the activations between its layers and their gradients are
 * bfloat16: half the memory, and less time where memory is the limit. Weights, sums, norms,
 * softmax, the time embedding, the first and the last convolution, the loss and the optimizer stay
 * float32; where the processor has products of bfloat16 (dm_feature "bf16"), forward passes without
 * gradients round weights to it too. Results differ by some 0.3 % of a network's output; they are
 * the same bits for any batch and number of threads, as in F32. */
typedef int32_t dm_precision;
enum {
    DM_PRECISION_F32 = 0, /* float32 */
    DM_PRECISION_F16 = 1, /* IEEE 754 binary16: half the size, 11 significant bits, to 65504 */
    DM_PRECISION_BF16 = 2 /* bfloat16: half the size, 8 significant bits, the range of float32 */
};

typedef struct dm_unet_options {
    uint32_t struct_size;
    int32_t height;                   /* pixels, divisible by 2^(levels-1). Default: 32. */
    int32_t width;                    /* likewise. Default: 32. */
    int32_t in_channels;              /* 1 to 64. Default: 3. */
    int32_t out_channels;             /* 1 to 64. Default: 3. */
    int32_t levels;                   /* resolutions, 1 to DM_LEVELS_MAX. Default: 4. */
    int32_t channels[8];              /* of each level, 1 to 8192; a multiple of norm_groups where
                                         norms have these: not if that is 0, in levels of
                                         DM_RESAMPLE_SKIP, or with a recipe. Default: 64, 128, 128,
                                         128. */
    int32_t blocks[8];                /* residual blocks of each level, 1 to 16; one more in
                                         the decoder. Default: 2 each. */
    int32_t attention[8];             /* 1: self-attention after each block of the level.
                                         Default: 0, 1, 0, 0. */
    int32_t mid_attention;            /* 1: self-attention in the mid block. Default: 1. */
    int32_t attention_head_size;      /* channels of a head, 1 to 8192, at most those of the level;
                                         0: one head. Default: 0. */
    int32_t norm_groups;              /* of group normalisation, 1 to 8192; 0: min(c / 4, 32) of c
                                         channels, of which there are then at least 4.
                                         Default: 32. */
    float norm_eps;                   /* 1e-12 to 1. Default: 1e-6. */
    float dropout;                    /* rate in [0, 1), while training. Default: 0. */
    dm_time_embedding time_embedding; /* Default: DM_TIME_ADD. */
    int32_t time_channels;            /* of the time embedding, 1 to 32768, with a recipe 2 or
                                         more; 0: 4 channels[0]. Default: 0. */
    int32_t time_cos_first;           /* 0: [sin | cos]; 1: [cos | sin]. Default: 0. */
    float time_frequency_shift;       /* 0 to 4096: frequencies exp(-ln 10000 i / (half - shift)), i
                                         from 0 to half - 1, half of the sines and cosines.
                                         Default: 1. */
    dm_padding downsample_padding;    /* Default: DM_PAD_BOTTOM_RIGHT. */
    int32_t classes;           /* 1 to 1e6: labels 0 to classes - 1, and with null_row -1 for no
                                  class; 0: the network takes no labels. Default: 0. */
    dm_prediction prediction;  /* Default: DM_PREDICT_V. */
    float sigma_data;          /* EDM and consistency: standard deviation of the images, 1e-3
                                  to 1e3. Default: 0.5. */
    int32_t learned_variance;  /* 1: 2 out_channels; the second half interpolates the variance
                                  of DDPM's steps (Nichol and Dhariwal 2021, eq. 15).
                                  Default: 0. */
    int32_t self_conditioning; /* 1: 2 in_channels; the second half is the previous estimate of
                                  x_0, or 0 (Chen, Zhang and Hinton 2023). Default: 0. */
    int32_t padding;

    /* Levels: entries past `levels` are ignored. */
    dm_resample down_resample[8]; /* of each level of the encoder. Default: DM_RESAMPLE_CONV. */
    dm_resample up_resample[8];   /* of each level of the decoder. Default: DM_RESAMPLE_CONV. */
    int32_t up_attention[8];      /* `attention` of the decoder's levels; -1: as in the encoder.
                                     Default: -1. */
    int32_t mid_block;            /* 0: the encoder's output goes to the decoder. Default: 1. */
    float mid_scale;          /* blocks of the mid block divide their sum with the shortcut by this,
                                 1e-6 to 1e6. Default: 1. */
    int32_t mid_norm_groups;  /* of the mid block's attention, 1 to 8192, which divide the last
                                 level's channels; 0: it has no norm; -1: norm_groups.
                                 Default: -1. */
    dm_activation activation; /* of residual blocks. Default: DM_ACTIVATION_SILU. */

    /* Inputs. */
    dm_time_features time_features; /* Default: DM_TIME_SINUSOIDAL. */
    int32_t time_steps;   /* DM_TIME_LEARNED: rows of the table, 1 to 1e6; times are whole and below
                             it. Default: 1000. */
    int32_t center_input; /* 1: the image is first mapped from [0, 1] to [-1, 1], but neither the
                             estimate of self_conditioning nor a condition image. Default: 0. */
    int32_t null_row;     /* 1: label -1 is accepted, for which the class table has a row, or with
                             recipe zeros; 0: labels are required. Default: 1. */
    int32_t condition_channels;       /* of a condition image beside x_t, 0 to 64. Default: 0. */
    int32_t condition_size;           /* floats of a condition vector, 0 to 65536. Default: 0. */
    dm_condition condition_embedding; /* of the vector. Default: DM_CONDITION_LINEAR. */

    /* With recipe[0], each block of the network is that sequence of parts, up to DM_PART_END, in
     * place of residual and attention blocks: docs/networks.md. The first part is DM_PART_RESNET or
     * DM_PART_CONVNEXT, and all entries behind DM_PART_END are DM_PART_END. Refused with `dropout`,
     * `condition_size` and other `time_features` than DM_TIME_SINUSOIDAL. Ignored are `blocks`,
     * options of self-attention, norms (norm_eps too), activation and resampling, `time_embedding`,
     * `time_steps`, `mid_block` and `mid_scale`. Default: DM_PART_END. */
    dm_part recipe[8];
    int32_t attention_window; /* DM_PART_ATTENTION: pixels of a side, 1 to 4096, which divide a
                                 level's height and width or are no less. Default: 16. */
    dm_precision precision;   /* of forward passes: F32 or BF16; dm_unet_set_precision changes it.
                                 Default: DM_PRECISION_F32. */
    int32_t padding_last;
} dm_unet_options;

/* How the weights of a network begin. */
typedef int32_t dm_initialization;
enum {
    DM_INITIALIZATION_DDPM = 0, /* as dm_unet_create */
    DM_INITIALIZATION_TORCH = 1 /* PyTorch's default: weights and biases of convolutions and linear
                                   layers uniform in +-1 / sqrt(fan_in), tables standard normal, but
                                   the table of classes of a recipe uniform in +-1 / sqrt(classes),
                                   from PyTorch's CPU generator */
};

/* Which of a file's weights to load. */
typedef int32_t dm_weights;
enum {
    DM_WEIGHTS_DEFAULT = 0, /* the first EMA where the file has one, else the trained weights */
    DM_WEIGHTS_TRAINED = 1, /* the weights after the last training step */
    DM_WEIGHTS_EMA = 2      /* DM_WEIGHTS_EMA + i: the EMA of the trainer's ema_decay[i] or
                               ema_half_life[i], i from 0 to DM_EMA_MAX - 1 */
};
enum { DM_EMA_MAX = 4 };

typedef struct dm_tensor_info {
    uint32_t struct_size;
    int32_t rank;     /* 1 to 4 */
    int64_t shape[4]; /* entries past `rank` are 1 */
    uint64_t elements;
    const char *name; /* valid until the network is destroyed */
    void *padding;
} dm_tensor_info;

/* The inputs of a forward pass. */
typedef struct dm_unet_input {
    uint32_t struct_size;
    int32_t padding;
    uint64_t count;       /* images, 1 to 65536 */
    uint64_t x_elements;  /* floats of `x`: count * height * width * in_channels (twice the channels
                             with self_conditioning) */
    uint64_t time_count;  /* `count` */
    uint64_t label_count; /* `count`, or 0 without labels */
    const float *x;       /* [count, height, width, in_channels] */
    const double *times;  /* [count], the network's time input (DM_SERIES_TIME); finite */
    const int32_t *labels; /* [count], -1 for no class; NULL: no classes */
    const void *padding_pointer;
    /* Elements of the arrays below; 0 where they are NULL. */
    uint64_t condition_image_elements, condition_vector_elements;
    const float *condition_image;  /* [count, height, width, condition_channels]; NULL: zeros */
    const float *condition_vector; /* [count, condition_size]; NULL: zeros */
} dm_unet_input;

/* What a file of diffusers leaves open, and how close to diffusers its images are to be. */
typedef struct dm_diffusers_options {
    uint32_t struct_size;
    int32_t height, width;    /* 1 to 4096; 0: sample_size of config.json. Default: 0. */
    dm_prediction prediction; /* of the network; DM_PREDICT_ANY: that of the pipeline's scheduler,
                                 or DM_PREDICT_EPS of a model alone. Default: DM_PREDICT_ANY. */
    int32_t compatible; /* dm_schedule_load_diffusers: 1: float32_tables and diffusers_compatible,
                           for the same pixels as diffusers. Default: 0. */
    int32_t condition_channels; /* the last of the network's in_channels, which are those of a
                                   condition image; less than all. Default: 0. */
} dm_diffusers_options;

DM_API dm_status dm_unet_options_init(dm_unet_options *options, size_t size);
/* The defaults with the preset's changes. */
DM_API dm_status dm_unet_options_preset(dm_unet_options *options, size_t size, dm_preset preset);
DM_API dm_status dm_tensor_info_init(dm_tensor_info *info, size_t size);
DM_API dm_status dm_unet_input_init(dm_unet_input *input, size_t size);
DM_API dm_status dm_diffusers_options_init(dm_diffusers_options *options, size_t size);
/* A network with weights drawn from `seed`. They begin as DDPM's: uniform in +-sqrt(6 / (fan_in +
 * fan_out)), biases 0, and 1e-5 times that for the last layer of a block, an attention or the
 * network; tables are standard normal, and the frequencies of DM_TIME_FOURIER normal with standard
 * deviation 16. Those of a recipe begin as PyTorch's default: weights and biases uniform in +-1 /
 * sqrt(fan_in), the table of classes in +-1 / sqrt(classes). Norms begin as 1 and 0. */
DM_API dm_status dm_unet_create(dm_unet **out, dm_context *context, const dm_unet_options *options,
                                uint64_t seed);
/* Replaces all weights by new ones. Refused while the network has a trainer or shares. With
 * DM_INITIALIZATION_TORCH they are drawn, in the order of the tensors, as PyTorch's modules do in
 * float32 after torch.manual_seed of the seed's low 32 bits: those of diffusers' UNet2DModel, where
 * that can be this network: without a recipe and without the linear layer of a condition vector. */
DM_API dm_status dm_unet_initialize(dm_unet *unet, dm_initialization kind, uint64_t seed);
/* From a safetensors file of dm_unet_save or dm_trainer_save, or from its `size` bytes. `path` may
 * also be what dm_unet_load_diffusers reads, with its default options; that has no EMA. Fails with
 * DM_ERROR_NOT_FOUND, DM_ERROR_IO, DM_ERROR_BAD_FORMAT, DM_ERROR_UNSUPPORTED_VERSION,
 * DM_ERROR_CHECKSUM where metadata or weights are damaged, DM_ERROR_NOT_FINITE where a weight is
 * infinite or NaN, DM_ERROR_SHAPE_MISMATCH where the tensors are not those of the options,
 * DM_ERROR_UNSUPPORTED where they are neither float32, float16 nor bfloat16. */
DM_API dm_status dm_unet_load(dm_unet **out, dm_context *context, const char *path,
                              dm_weights weights);
DM_API dm_status dm_unet_load_memory(dm_unet **out, dm_context *context, const void *bytes,
                                     size_t size, dm_weights weights);
/* A network of diffusers' UNet2DModel, with the tensors in float32, float16 or bfloat16. `path` is
 * the folder of a pipeline (with model_index.json and a scheduler), that of a model (config.json
 * beside diffusion_pytorch_model.safetensors or its index of shards, which is read where both are
 * there), or a safetensors file with config.json beside it. `options` may be NULL. Has the errors
 * of dm_unet_load; what cannot be expressed is DM_ERROR_UNSUPPORTED with its key and value. Labels
 * of such a network are required where it has classes, since its table has no row for none. */
DM_API dm_status dm_unet_load_diffusers(dm_unet **out, dm_context *context, const char *path,
                                        const dm_diffusers_options *options);
/* A second handle, in another context or the same, on the weights of `unet`, so that several
 * threads sample from one copy, each in a context of its own. Weights, and copies of them that
 * convolutions use, count once, in the first owner's memory limit; activations count in each
 * context's own. While shares exist, the weights are read-only: training them and
 * dm_unet_set_tensor return DM_ERROR_WRONG_STATE. They stay so while `unet` is gone and shares are
 * left. The owner and its context should outlive the shares; destroying either earlier is reported
 * through the log and takes effect with the last share. May be called while the owner's context is
 * busy, but not while `unet` is being destroyed. */
DM_API dm_status dm_unet_share(dm_unet **out, dm_context *context, const dm_unet *unet);
/* Writes one safetensors file: the parameters, with the options and, if not NULL, the schedule as
 * metadata. Weights that are infinite or NaN are refused (DM_ERROR_NOT_FINITE), and whatever has
 * the name stays. Files hold checksums, which loading compares. */
DM_API dm_status dm_unet_save(const dm_unet *unet, const dm_schedule *schedule, const char *path);
/* The same bytes to `buffer`; *size becomes their number. With a NULL buffer only *size is set. If
 * `capacity` is too small, nothing is written and the status is DM_ERROR_SHAPE_MISMATCH. */
DM_API dm_status dm_unet_save_memory(const dm_unet *unet, const dm_schedule *schedule, void *buffer,
                                     size_t capacity, size_t *size);
/* The same files with the weights rounded to a precision, to the nearest, half to even. One that
 * would become infinite is refused (DM_ERROR_NOT_FINITE) with its tensor and element. Checksums are
 * those of the bytes written. */
DM_API dm_status dm_unet_save_as(const dm_unet *unet, const dm_schedule *schedule, const char *path,
                                 dm_precision precision);
DM_API dm_status dm_unet_save_memory_as(const dm_unet *unet, const dm_schedule *schedule,
                                        void *buffer, size_t capacity, size_t *size,
                                        dm_precision precision);
DM_API dm_context *dm_unet_context(const dm_unet *unet);
DM_API dm_status dm_unet_get_options(const dm_unet *unet, dm_unet_options *options, size_t size);
/* The names of the network's classes, which files keep: `count` is options.classes, or 0 with
 * `names` NULL for none. Each is UTF-8 of 1 to 255 bytes without control characters, all together
 * at most 8,000,000 bytes, and is copied. A network without names gets those of the dataset when a
 * trainer is created, or those of the file when one is resumed. Refused while the network has a
 * trainer or shares. */
DM_API dm_status dm_unet_set_class_names(dm_unet *unet, const char *const *names, int32_t count);
/* "airplane"; NULL if the label has no name. Valid until the names are set or the network is
 * destroyed. */
DM_API const char *dm_unet_class_name(const dm_unet *unet, int32_t label);
DM_API uint64_t dm_unet_parameter_count(const dm_unet *unet);
DM_API int32_t dm_unet_tensor_count(const dm_unet *unet);
/* Tensor `index`, from 0, in the order in which the network uses them. */
DM_API dm_status dm_unet_get_tensor_info(const dm_unet *unet, int32_t index, dm_tensor_info *info);
/* Copies one parameter, [out, in, k, k], [out, in] or [n], to `values`; `elements` must be its
 * number of elements. */
DM_API dm_status dm_unet_get_tensor(const dm_unet *unet, const char *name, float *values,
                                    size_t elements);
/* Replaces one parameter. `shape` [rank] must be the tensor's; infinities and NaN are refused. */
DM_API dm_status dm_unet_set_tensor(dm_unet *unet, const char *name, const float *values,
                                    size_t elements, const int64_t *shape, int32_t rank);
/* One forward pass without dropout: output [count, height, width, out_channels] (twice the channels
 * with learned_variance); `elements` must be its number of floats. The first call with a new count
 * allocates. */
DM_API dm_status dm_unet_forward(dm_unet *unet, const dm_unet_input *input, float *output,
                                 size_t elements);
/* The gradient of the sum of output_gradient * output with respect to input->x, a vector-Jacobian
 * product by one forward and one backward pass without dropout: from output_gradient, shaped as
 * dm_unet_forward's output, to input_gradient, shaped as input->x. output, if not NULL, receives
 * what dm_unet_forward gives, to the bit; it may be the array output_gradient, and input_gradient
 * that or input->x: all are read before any is written. Each `..._elements` is the number of floats
 * of that array. The weights are read only, so that shares can do this, also while a trainer
 * exists. An image's gradient does not depend on its batch. The first call with a new count
 * allocates. */
DM_API dm_status dm_unet_input_gradient(dm_unet *unet, const dm_unet_input *input,
                                        const float *output_gradient, size_t output_elements,
                                        float *output, float *input_gradient,
                                        size_t input_elements);
/* Seamless tiles: 1 makes all convolutions read pixels of the opposite border in place of zeros
 * beyond the left and right border (horizontal) or the upper and lower one (vertical), so that a
 * network draws images that continue when they are laid side by side; 0, 0: as it was made. The
 * setting belongs to this handle: a new share starts without it, and files do not keep it. It holds
 * for everything that is done with the handle from now on, training included; while the network has
 * a trainer it cannot change, and a held run whose setting changed can go on only with the old one
 * (both DM_ERROR_WRONG_STATE). Slower than without. DM_ERROR_UNSUPPORTED for a network with a
 * recipe or with DM_RESAMPLE_SKIP. */
DM_API dm_status dm_unet_set_tiling(dm_unet *unet, int32_t horizontal, int32_t vertical);
/* The precision of this handle's forward passes from now on, F32 or BF16: the `precision` of its
 * options, which files keep. A held run whose network's precision changed can go on only with the
 * old one (DM_ERROR_WRONG_STATE). A trainer has its own. */
DM_API dm_status dm_unet_set_precision(dm_unet *unet, dm_precision precision);
/* A network that a trainer or sampler uses is destroyed with the last of these, which is reported
 * through the log. */
DM_API void dm_unet_destroy(dm_unet *unet);

/* ---- Dataset ----------------------------------------------------------------------------------
 * Images as uint8_t [height, width, channels], each with a label, or -1 for none. Height and width
 * are 1 to 65536, channels 1 to 64. An image may have conditions: an image of the same size
 * [height, width, condition_channels], and a vector of condition_size floats. */

typedef struct dm_dataset dm_dataset;

typedef int32_t dm_split;
enum { DM_SPLIT_TRAIN = 0, DM_SPLIT_TEST = 1 };

typedef struct dm_dataset_info {
    uint32_t struct_size;
    int32_t classes; /* number of labels; 0: no labels, or not known */
    uint64_t count;  /* images */
    int32_t height, width, channels;
    int32_t padding;
    uint64_t fingerprint; /* a hash of count and shape and of up to 64 images, labels and conditions
                             that are spread over the dataset, the first and the last included; of
                             shapes, of their parameters; 0: not known. Checkpoints keep it */
    int32_t condition_channels; /* of condition images; 0: there are none */
    int32_t condition_size;     /* floats of condition vectors; 0: there are none */
    int32_t vector_invariant;   /* as in dm_dataset_memory */
    int32_t padding_last;
} dm_dataset_info;

/* Images in the caller's memory. */
typedef struct dm_dataset_memory {
    uint32_t struct_size;
    int32_t copy;   /* 1: the arrays are copied; 0: they must outlive the dataset. Default: 0. */
    uint64_t count; /* images, at least 1 */
    int32_t height, width, channels;
    int32_t padding;
    uint64_t pixel_bytes;       /* of `pixels`: count * height * width * channels */
    uint64_t label_count;       /* `count`, or 0 without labels */
    const uint8_t *pixels;      /* [count, height, width, channels] */
    const int32_t *labels;      /* [count], or NULL */
    int32_t condition_channels; /* 0 to 64; 0: no condition images. Default: 0. */
    int32_t condition_size;     /* 0 to 65536; 0: no condition vectors. Default: 0. */
    int32_t vector_invariant;   /* 1: condition vectors stay right when an image is flipped or
                                   cropped, so that training may do that. Default: 0. */
    int32_t padding_last;
    /* Of the arrays below: count * height * width * condition_channels, count * condition_size. */
    uint64_t condition_image_bytes, condition_vector_elements;
    const uint8_t *condition_images; /* [count, height, width, condition_channels], or NULL */
    const float *condition_vectors;  /* [count, condition_size], finite; or NULL */
    uint64_t class_name_count;       /* number of classes, at least the largest label + 1; 0 without
                                        names. Default: 0. */
    const char *const *class_names;  /* [class_name_count] UTF-8, 1 to 255 bytes each and no control
                                        characters, which are copied; NULL: no names */
    const void *padding_pointer;
} dm_dataset_memory;

/* One image to be filled in by a callback. */
typedef struct dm_dataset_item {
    uint32_t struct_size;
    int32_t label;        /* to be set; -1, its value before, means none */
    uint64_t index;       /* of the image */
    uint64_t pixel_bytes; /* height * width * channels */
    uint8_t *pixels;      /* [height, width, channels], to be written */
    void *padding;
    /* Of the arrays below; 0 where the dataset has no such condition. */
    uint64_t condition_image_bytes, condition_vector_elements;
    uint8_t *condition_image; /* [height, width, condition_channels], to be written; or NULL */
    float *condition_vector;  /* [condition_size], to be written, finite; or NULL */
    uint64_t epoch; /* of training: passes over the dataset before this one, so that an image can be
                       cropped in another way each time; else 0 */
} dm_dataset_item;

/* Non-zero stops the work with DM_ERROR_CALLBACK_FAILED. */
typedef int32_t (*dm_dataset_read)(void *user, dm_dataset_item *item);

/* Tells which images `read` will be asked for next, [count], in that order, so that other threads
 * can prepare them: those of the next pass of training. It should return at once. Like `read` it
 * runs on the calling thread and may not use the context. */
typedef void (*dm_dataset_prefetch)(void *user, const uint64_t *indices, size_t count);

/* Images that a callback provides. */
typedef struct dm_dataset_callback {
    uint32_t struct_size;
    int32_t classes; /* number of labels; 0: none, or not known. Default: 0. */
    uint64_t count;  /* images, 1 to 2^56 */
    int32_t height, width, channels;
    int32_t padding;
    uint64_t fingerprint; /* for dm_dataset_info; 0: not known. Default: 0. */
    dm_dataset_read read;
    void *user;
    int32_t condition_channels; /* of the condition images that `read` writes, 0 to 64. Default:
                                   0. */
    int32_t condition_size;     /* floats of the condition vectors, 0 to 65536. Default: 0. */
    int32_t vector_invariant;   /* as in dm_dataset_memory. Default: 0. */
    int32_t padding_last;
    uint64_t class_name_count;      /* `classes`, or 0 without names. Default: 0. */
    const char *const *class_names; /* [class_name_count], as in dm_dataset_memory */
    dm_dataset_prefetch prefetch;   /* Default: NULL. */
} dm_dataset_callback;

DM_API dm_status dm_dataset_info_init(dm_dataset_info *info, size_t size);
DM_API dm_status dm_dataset_item_init(dm_dataset_item *item, size_t size);
DM_API dm_status dm_dataset_memory_init(dm_dataset_memory *memory, size_t size);
DM_API dm_status dm_dataset_callback_init(dm_dataset_callback *callback, size_t size);
/* The binary version of CIFAR-10: the published cifar-10-binary.tar.gz, read without unpacking it,
 * or a folder with its .bin files or with cifar-10-batches-bin. Everything is read here. */
DM_API dm_status dm_dataset_load_cifar10(dm_dataset **out, dm_context *context, const char *path,
                                         dm_split split);
/* Generated shapes, one in each image, in ten classes, with random colour, position, size, rotation
 * and background. Image `index` of a seed is always the same. `size` is the side in pixels, 16 to
 * 64; `count` the number of images in an epoch. */
DM_API dm_status dm_dataset_create_shapes(dm_dataset **out, dm_context *context, int32_t size,
                                          uint64_t count, uint64_t seed);
/* The same images with a condition vector each that describes them, [x, y, size, r, g, b] in
 * [-1, 1]: the shape's centre, x to the right and y down, 0 in the middle and +-1 at 0.13 sides
 * from it; its radius r as (r / side - 0.35) / 0.06; its colour. A shape of size s is at most
 * min(0.085 - 0.066 s, 0.13) sides from the middle. */
DM_API dm_status dm_dataset_create_described_shapes(dm_dataset **out, dm_context *context,
                                                    int32_t size, uint64_t count, uint64_t seed);
/* The images of `source` for super-resolution: the condition image of each is the image with
 * `factor` times fewer pixels in each direction, which are the means of blocks, enlarged to the old
 * size by linear interpolation between the centres of these blocks; both are rounded to bytes.
 * `factor`, 2 to 64, must divide height and width. Labels and condition vectors are those of
 * `source`, which has no condition images and must outlive the dataset. */
DM_API dm_status dm_dataset_create_downscaled(dm_dataset **out, const dm_dataset *source,
                                              int32_t factor);
DM_API dm_status dm_dataset_create_from_memory(dm_dataset **out, dm_context *context,
                                               const dm_dataset_memory *memory);
DM_API dm_status dm_dataset_create_from_callback(dm_dataset **out, dm_context *context,
                                                 const dm_dataset_callback *callback);
DM_API dm_context *dm_dataset_context(const dm_dataset *dataset);
DM_API dm_status dm_dataset_get_info(const dm_dataset *dataset, dm_dataset_info *info);
/* Copies image `index`; `bytes` must be height * width * channels. label may be NULL; it
 * becomes -1 for none, and is not written after an error. */
DM_API dm_status dm_dataset_get_image(const dm_dataset *dataset, uint64_t index, uint8_t *pixels,
                                      size_t bytes, int32_t *label);
/* Copies the conditions of image `index`: image [height, width, condition_channels], and vector
 * [condition_size]. `bytes` and `elements` are their sizes, and 0 where the pointer is NULL: that
 * condition is not wanted. */
DM_API dm_status dm_dataset_get_condition(const dm_dataset *dataset, uint64_t index, uint8_t *image,
                                          size_t bytes, float *vector, size_t elements);
/* "airplane", "circle"; NULL if the label has no name. Valid until the dataset is
 * destroyed. */
DM_API const char *dm_dataset_class_name(const dm_dataset *dataset, int32_t label);
DM_API void dm_dataset_destroy(dm_dataset *dataset);

/* ---- Trainer ----------------------------------------------------------------------------------
 * Algorithm 1 of Ho et al. (2020) with AdamW (Loshchilov and Hutter 2019) and exponential moving
 * averages (EMAs) of the weights. The target follows from the network's `prediction`. */

typedef struct dm_trainer dm_trainer;

typedef int32_t dm_rate_schedule;
enum { DM_RATE_CONSTANT = 0, DM_RATE_LINEAR = 1, DM_RATE_COSINE = 2 };

/* Gradient checkpointing: what the backward pass recomputes instead of keeping it from the forward
 * pass. Less memory, more time, the same bits. */
typedef int32_t dm_recompute;
enum {
    DM_RECOMPUTE_NONE = 0,
    DM_RECOMPUTE_SELECTIVE = 1, /* operations that are one pass over memory: group norm,
                                   concatenation, dropout */
    DM_RECOMPUTE_BLOCKS = 2     /* also everything inside residual and attention blocks (Chen et al.
                                   2016) */
};

/* The distribution of the noise levels that are trained on. */
typedef int32_t dm_timestep_sampling;
enum {
    DM_TIMESTEPS_UNIFORM = 0,      /* all timesteps equally likely */
    DM_TIMESTEPS_LOSS_AWARE = 1,   /* probability proportional to the root mean square of the
                                      timestep's last 10 losses, plus 0.001 uniform. Losses are
                                      divided by the probability, so the expected gradient is
                                      unchanged. Uniform until every timestep has 10 losses (Nichol
                                      and Dhariwal 2021, sec. 3.3) */
    DM_TIMESTEPS_LOGIT_NORMAL = 2, /* flow: draws u, the schedule's (t+1)/T, as sigmoid(n), n normal
                                      with logit_mean and logit_std (Esser et al. 2024, eq. 19) */
    DM_TIMESTEPS_LOG_NORMAL = 3 /* EDM: ln(sigma) normal with log_sigma_mean and log_sigma_std, not
                                   limited to sigma_min and sigma_max (Karras et al. 2022,
                                   table 1) */
};

/* The loss of one element with error d. */
typedef int32_t dm_loss;
enum {
    DM_LOSS_MSE = 0, /* d^2 */
    DM_LOSS_PSEUDO_HUBER =
        1, /* pseudo-Huber: 2 delta^2 (sqrt(1 + (d/delta)^2) - 1), delta = huber_delta */
    DM_LOSS_HYBRID = 2 /* with learned_variance: d^2 of eps + bound_lambda T L_t, L_t the term of
                          the variational lower bound (VLB) in bits; the gradient of L_t reaches the
                          variance only (Nichol and Dhariwal 2021, eq. 16) */
};

/* The weight of an image's loss. SNR is signal^2 / noise^2. DM_PREDICT_EDM takes
 * DM_LOSS_WEIGHT_SIMPLE only. */
typedef int32_t dm_loss_weight;
enum {
    DM_LOSS_WEIGHT_SIMPLE = 0,       /* 1 (Ho et al. 2020, eq. 14) */
    DM_LOSS_WEIGHT_MIN_SNR = 1,      /* min(SNR, min_snr_gamma), defined for the error of x_0 and
                                        converted to the prediction type
                                        (Hang et al. 2023) */
    DM_LOSS_WEIGHT_P2 = 2,           /* 1 / (p2_k + SNR)^p2_gamma, defined for the error of eps and
                                        converted to the prediction type
                                        (Choi et al. 2022) */
    DM_LOSS_WEIGHT_BOUND = 3,        /* eps: beta / (2 alpha noise^2), as in the VLB with
                                        variance beta (Ho et al. 2020, eq. 12) */
    DM_LOSS_WEIGHT_TRUNCATED_SNR = 4 /* max(SNR, 1), defined for the error of x_0 and converted to
                                        the prediction type (Salimans and Ho 2022, sec. 4) */
};

/* How weight_decay is applied. */
typedef int32_t dm_optimizer;
enum {
    DM_OPTIMIZER_ADAMW = 0, /* decoupled: each step subtracts learning_rate * weight_decay * weight
                               (Loshchilov and Hutter 2019) */
    DM_OPTIMIZER_ADAM = 1 /* L2: weight_decay * weight is added to the clipped gradient (Kingma and
                             Ba 2015) */
};

typedef struct dm_trainer_options {
    uint32_t struct_size;
    int32_t batch_size;     /* images in one pass, 1 to 4096. Default: 64. */
    int32_t accumulation;   /* passes whose gradients make one step, 1 to 4096. Default: 1. */
    dm_recompute recompute; /* Default: DM_RECOMPUTE_NONE. */
    uint64_t seed;          /* of all random numbers of the run. Default: 0. */

    /* Data. */
    int32_t flip;         /* 1: mirror half of the images left to right. Default: 0. */
    int32_t crop_padding; /* pixels by which images are padded by reflection and cropped at random;
                             below height and width. Default: 0. */
    int32_t use_labels;   /* 1: give the dataset's labels to a network with classes. Default: 1. */
    dm_timestep_sampling timestep_sampling; /* Default: DM_TIMESTEPS_UNIFORM. */
    double label_dropout; /* probability that a label becomes -1 (no class), as classifier-free
                             guidance needs (Ho and Salimans 2022). Default: 0. */
    double self_conditioning_rate; /* probability that a self-conditioned network gets its own
                                      estimate of x_0, computed without gradient, instead of zeros.
                                      Default: 0.5. */
    double logit_mean;             /* DM_TIMESTEPS_LOGIT_NORMAL; -100 to 100. Default: 0. */
    double logit_std;              /* above 0, at most 100. Default: 1. */
    double log_sigma_mean;         /* DM_TIMESTEPS_LOG_NORMAL (P_mean); -10 to 10. Default: -1.2. */
    double log_sigma_std;          /* (P_std) above 0, at most 5. Default: 1.2. */

    /* Loss. */
    dm_loss loss;               /* Default: DM_LOSS_MSE. */
    dm_loss_weight loss_weight; /* Default: DM_LOSS_WEIGHT_SIMPLE. */
    double huber_delta;         /* 1e-6 to 1e6. Default: 0.1. */
    double bound_lambda;        /* DM_LOSS_HYBRID; 0 to 1000. Default: 0.001. */
    double min_snr_gamma;       /* above 0, at most 1e6. Default: 5. */
    double p2_k;                /* above 0, at most 1e6. Default: 1. */
    double p2_gamma;            /* 0 to 10. Default: 1. */

    /* Optimizer. */
    dm_optimizer optimizer;                  /* Default: DM_OPTIMIZER_ADAMW. */
    dm_rate_schedule learning_rate_schedule; /* Default: DM_RATE_CONSTANT. */
    double learning_rate;                    /* 0 to 1e6. Default: 1e-4. */
    double learning_rate_end_fraction; /* fraction of learning_rate that is left when a linear or
                                   cosine schedule ends. Default: 0. */
    uint64_t learning_rate_end_step;   /* step at which the schedule ends, warm-up included; above
                                       warmup_steps. Default: 0. */
    uint64_t warmup_steps; /* steps over which the rate first rises linearly. Default: 0. */
    double beta1;          /* [0, 1). Default: 0.9. */
    double beta2;          /* [0, 1). Default: 0.999. */
    double adam_eps;       /* above 0. Default: 1e-8. */
    double weight_decay;   /* 0 to 1e6. Default: 0. */
    double gradient_clip;  /* largest norm of the whole gradient; 0: no clipping. Default: 1. */

    /* EMAs. EMA i is kept if ema_decay[i] or ema_half_life[i] is above 0; not both may be. */
    double ema_decay[4];     /* decay per step, [0, 1). Default: 0.9999, 0, 0, 0. */
    double ema_half_life[4]; /* in images: decay 0.5^(images per step / half-life) (Karras et al.
                                2022). Default: 0. */
    double ema_rampup;  /* half-lives are at most this fraction of the images seen so far; 0: no
                           limit. Default: 0.05. */
    int32_t ema_warmup; /* 1: ema_decay is at most (1 + step) / (10 + step). Default: 1. */
    int32_t padding;

    /* Progressive distillation (dm_trainer_set_teacher). */
    int32_t distill_steps; /* DDIM steps to distil to; the teacher takes twice as many, at most T.
                              0: no distillation. Default: 0. */
    int32_t distill_clip;  /* 1: clip the teacher's x_0 to [-1, 1], as dm_sampler_options.clip.
                              Default: 1. */

    /* Conditions. */
    double condition_dropout; /* probability that condition image and vector of an image become 0,
                                 for guidance, apart from label_dropout. Default: 0. */

    dm_precision precision; /* of the training steps: F32 or BF16, whatever that of the network.
                               Weights, gradients of weights, moments and EMAs are float32 in both.
                               Default: DM_PRECISION_F32. */
    int32_t padding_last;
} dm_trainer_options;

typedef struct dm_train_stats {
    uint32_t struct_size;
    int32_t skipped;      /* 1: loss or gradient was not finite or too large; nothing changed */
    uint64_t step;        /* steps done, this one included */
    uint64_t images;      /* images seen in all steps so far */
    double epoch;         /* images / size of the dataset */
    double loss;          /* of this step, as weighted */
    double gradient_norm; /* before clipping */
    double learning_rate;
    double seconds; /* of this step */
    /* The mean loss of the step's images whose timestep is in each quarter of all timesteps, the
     * cleanest first, without weights of importance sampling; 0 where there are no such images. */
    double quarter_loss[4];
    int32_t quarter_images[4]; /* their number; noise levels between timesteps are not counted */
} dm_train_stats;

/* Custom images for dm_trainer_step_batch. */
typedef struct dm_train_batch {
    uint32_t struct_size;
    int32_t padding;
    uint64_t count;           /* batch_size * accumulation */
    uint64_t elements;        /* floats of `images`, and of `noise` if given */
    uint64_t label_count;     /* `count`, or 0 without labels */
    uint64_t timestep_count;  /* `count`, or 0 without timesteps */
    const float *images;      /* [count, height, width, channels] in [-1, 1] */
    const float *noise;       /* like images; NULL: generated */
    const int32_t *labels;    /* [count]; NULL: none */
    const int32_t *timesteps; /* [count], 0 to T-1; NULL: sampled as timestep_sampling says */
    /* Elements of the arrays below; 0 where they are NULL. */
    uint64_t condition_image_elements, condition_vector_elements;
    const float *condition_image;  /* [count, height, width, condition_channels]; NULL: zeros */
    const float *condition_vector; /* [count, condition_size]; NULL: zeros */
} dm_train_batch;

/* What a file of this library says about training. */
typedef struct dm_checkpoint_info {
    uint32_t struct_size;
    int32_t training; /* 1: a file of dm_trainer_save; 0: of dm_unet_save, of which the rest is not
                         known */
    uint64_t step;    /* steps done */
    uint64_t images;  /* images seen */
    uint64_t dataset_count, dataset_fingerprint; /* as in dm_dataset_info; 0: no dataset */
    int32_t emas;                                /* EMAs in the file: bit i for EMA i */
    int32_t format_version;
    int32_t null_class; /* 1: labels or conditions were dropped in training, as guidance needs; 0:
                           they were not, or it is not known. This is known of dm_unet_save too */
    int32_t padding;
} dm_checkpoint_info;

/* Called after every step of dm_trainer_run. Non-zero stops it with DM_ERROR_CANCELLED. */
typedef int32_t (*dm_train_callback)(void *user, const dm_train_stats *stats);

DM_API dm_status dm_trainer_options_init(dm_trainer_options *options, size_t size);
DM_API dm_status dm_train_stats_init(dm_train_stats *stats, size_t size);
DM_API dm_status dm_checkpoint_info_init(dm_checkpoint_info *info, size_t size);
DM_API dm_status dm_train_batch_init(dm_train_batch *batch, size_t size);
/* Trains `unet` in place; a network has one trainer at a time, and none while it is shared
 * (DM_ERROR_WRONG_STATE). The schedule is copied. `dataset`, of the network's context, may be NULL
 * where only dm_trainer_step_batch is used. It must have the conditions that the network takes;
 * condition images become floats in [-1, 1], and are flipped and cropped with their images. What
 * the network does not take is ignored. All memory of training is allocated here; steps allocate
 * nothing. */
DM_API dm_status dm_trainer_create(dm_trainer **out, dm_unet *unet, const dm_schedule *schedule,
                                   const dm_dataset *dataset, const dm_trainer_options *options);
/* Continues from a file of dm_trainer_save, or from its `size` bytes, bit for bit as if training
 * had never stopped. `unet` must have the file's options (as dm_unet_load gives) and receives its
 * weights; schedule and options come from the file. A dataset with another number of images is
 * refused; one with another fingerprint is reported through the log. Has the errors of
 * dm_unet_load, for EMAs and moments too; second moments below 0 are DM_ERROR_BAD_FORMAT. */
DM_API dm_status dm_trainer_resume(dm_trainer **out, dm_unet *unet, const dm_dataset *dataset,
                                   const char *path);
DM_API dm_status dm_trainer_resume_memory(dm_trainer **out, dm_unet *unet,
                                          const dm_dataset *dataset, const void *bytes,
                                          size_t size);
/* dm_trainer_resume with other options, and perhaps other data: the next step is taken with
 * `options`, at the file's step and position in the data. distill_steps must stay. An EMA that the
 * file lacks begins as the weights; recorded losses begin anew where they do not fit. A dataset
 * with another number of images is reported through the log. */
DM_API dm_status dm_trainer_resume_changed(dm_trainer **out, dm_unet *unet,
                                           const dm_dataset *dataset, const char *path,
                                           const dm_trainer_options *options);
/* The options of a file of dm_trainer_save, and how far its training has come. `options` and `info`
 * may be NULL. Has the errors of dm_unet_load. */
DM_API dm_status dm_checkpoint_load_info(dm_context *context, const char *path,
                                         dm_trainer_options *options, dm_checkpoint_info *info);
DM_API dm_context *dm_trainer_context(const dm_trainer *trainer);
DM_API dm_status dm_trainer_get_options(const dm_trainer *trainer, dm_trainer_options *options,
                                        size_t size);
/* One step on the dataset's next images, in an order shuffled anew each epoch. stats may be NULL. A
 * loss or gradient that is not finite, or a norm above 1e18 of what enters the moments, gives
 * DM_ERROR_NOT_FINITE: the step counts, but weights, EMAs and moments stay as they were. */
DM_API dm_status dm_trainer_step(dm_trainer *trainer, dm_train_stats *stats);
/* One step on custom images. */
DM_API dm_status dm_trainer_step_batch(dm_trainer *trainer, const dm_train_batch *batch,
                                       dm_train_stats *stats);
/* Trains until `steps` steps are done, counted from the trainer's first. Skipped steps are reported
 * to the callback; ten in a row end the run with DM_ERROR_NOT_FINITE. The callback may be NULL. */
DM_API dm_status dm_trainer_run(dm_trainer *trainer, uint64_t steps, dm_train_callback callback,
                                void *user);
/* Steps done. */
DM_API dm_status dm_trainer_get_step(const dm_trainer *trainer, uint64_t *step);
/* Replaces learning_rate, before warm-up and schedule. */
DM_API dm_status dm_trainer_set_learning_rate(dm_trainer *trainer, double learning_rate);
/* Copies EMA `index`, 0 to DM_EMA_MAX - 1, to `target`, a network with the same options that this
 * trainer does not train; it gets the names of the classes if it has none. DM_ERROR_WRONG_STATE if
 * that EMA is not kept. */
DM_API dm_status dm_trainer_get_ema(const dm_trainer *trainer, int32_t index, dm_unet *target);
/* Writes everything to one safetensors file: weights, EMAs, moments, loss history, step, seed,
 * options and schedule; infinite values and NaN among them are refused as by dm_unet_save. */
DM_API dm_status dm_trainer_save(const dm_trainer *trainer, const char *path);
/* The same bytes to `buffer`, as dm_unet_save_memory does. */
DM_API dm_status dm_trainer_save_memory(const dm_trainer *trainer, void *buffer, size_t capacity,
                                        size_t *size);
/* Progressive distillation (Salimans and Ho 2022, algorithm 2), with `distill_steps` N above 0: the
 * teacher whose DDIM steps the network learns to take two at a time. Once, between creating or
 * resuming the trainer and its first step; checkpoints hold N and a hash of the teacher's weights,
 * not the teacher, and a resumed trainer warns through the log of another one. An image gets
 * one of the N timesteps of DM_SPACING_TRAILING, and its target is the x_0 from which one step
 * reaches what the teacher reaches in two of 2 N, as a sampler with DM_SOLVER_DDIM, eta 0 and
 * trailing spacing takes them; so the network is sampled like that, in N steps. It must not predict
 * eps, and should begin with the teacher's weights: load the same file twice.
 *
 * The teacher is a network of the trainer's context, perhaps a share, with images of the same size
 * and the same classes, or none, and without self-conditioning; its other options are free. It is
 * only read, as one that is shared: until the trainer is destroyed its weights cannot be changed;
 * it is kept if it is destroyed before. All memory for it is allocated here.
 */
DM_API dm_status dm_trainer_set_teacher(dm_trainer *trainer, dm_unet *teacher);
/* Stops the run in progress after its current step with DM_ERROR_CANCELLED; if none is, the next
 * call that would do a step returns that status instead. */
DM_API void dm_trainer_cancel(dm_trainer *trainer);
DM_API void dm_trainer_destroy(dm_trainer *trainer);

/* ---- Sampler ----------------------------------------------------------------------------------*/

typedef struct dm_sampler dm_sampler;

/* How a sampler goes from one noise level to the next. One model evaluation per step unless noted.
 * dm_enum_help("dm_solver", solver) says when to use which; docs/solvers.md compares them. */
typedef int32_t dm_solver;
enum {
    DM_SOLVER_DDPM = 0,  /* ancestral sampling (Ho et al. 2020, algorithm 2) */
    DM_SOLVER_DDIM = 1,  /* Song, Meng and Ermon (2021), eq. 12; deterministic if eta is 0 */
    DM_SOLVER_PNDM = 2,  /* Liu et al. (2022): Runge-Kutta for the first 3 steps (9 extra
                            evaluations), then linear multistep */
    DM_SOLVER_PLMS = 3,  /* the same with a second-order start (1 extra evaluation) */
    DM_SOLVER_EULER = 4, /* Karras et al. (2022), algorithm 2 without the correction */
    DM_SOLVER_EULER_ANCESTRAL = 5, /* Euler to sigma_down, then noise up to sigma (k-diffusion) */
    DM_SOLVER_HEUN = 6,            /* Karras et al. (2022), algorithms 1 and 2; 2 steps - 1
                                      evaluations */
    DM_SOLVER_DPM2 = 7,            /* midpoint rule over log sigma (Lu et al. 2022, DPM-Solver-2);
                                      2 steps - 1 evaluations */
    DM_SOLVER_LMS = 8,             /* linear multistep over sigma, order 1 to 4 (k-diffusion) */
    DM_SOLVER_DPMPP = 9,           /* DPM-Solver++ (Lu et al. 2022), multistep, order 1 to 3 */
    DM_SOLVER_DPMPP_SINGLE = 10,   /* the same, singlestep; `steps` counts model evaluations */
    DM_SOLVER_DPMPP_SDE = 11,      /* the same for the SDE, multistep, order 1 or 2 */
    DM_SOLVER_UNIPC = 12,          /* Zhao et al. (2023), UniPC-p with B(h) = exp(h) - 1, order 1 to
                                      3 */
    DM_SOLVER_DEIS = 13,           /* Zhang and Chen (2023), tAB-DEIS over log rho, order 1 to 3 */
    DM_SOLVER_FLOW_EULER = 14,     /* Euler on the flow schedule (Lipman et al. 2023) */
    DM_SOLVER_FLOW_HEUN = 15,      /* Heun on the flow schedule; 2 steps - 1 evaluations */
    DM_SOLVER_CONSISTENCY = 16     /* DM_PREDICT_CONSISTENCY: x_0 of each level, to which noise of
                                      the next is added (Song et al. 2023, algorithm 1) */
};

/* Which `steps` of the T timesteps are visited, from the noisiest down. */
typedef int32_t dm_spacing;
enum {
    DM_SPACING_AUTO = 0,     /* the solver's own (docs/solvers.md) */
    DM_SPACING_LEADING = 1,  /* i (T / steps) + steps_offset, T / steps rounded down */
    DM_SPACING_TRAILING = 2, /* round(T - i T / steps) - 1; starts at T - 1 */
    DM_SPACING_LINSPACE = 3, /* equally spaced from T - 1 to 0, rounded half to even */
    /* Those of steps + 1, without the last, as some schedulers of diffusers have them: */
    DM_SPACING_LINSPACE_INNER = 4, /* i (T - 1) / steps, i >= 1, rounded half to even */
    DM_SPACING_LEADING_INNER = 5   /* i (T / (steps + 1)) + steps_offset, i >= 1 */
};

/* The variance of DDPM's steps. */
typedef int32_t dm_variance;
enum {
    DM_VARIANCE_AUTO = 0, /* learned if the network has one, else chosen by the number of steps
                             (docs/solvers.md) */
    DM_VARIANCE_FIXED_SMALL = 1, /* the posterior's variance (Ho et al. 2020, eq. 7) */
    DM_VARIANCE_FIXED_LARGE = 2, /* beta, of the respaced chain (Ho et al. 2020, sec. 3.2) */
    DM_VARIANCE_LEARNED = 3      /* interpolated by a network with learned_variance (Nichol and
                                    Dhariwal 2021, eq. 15) */
};

/* How sigma = noise / signal is spaced between the first and the last level of the timesteps. */
typedef int32_t dm_grid;
enum {
    DM_GRID_AUTO = 0,      /* the solver's own (docs/solvers.md) */
    DM_GRID_TIMESTEPS = 1, /* those of the spaced timesteps */
    DM_GRID_KARRAS = 2, /* sigma^(1/rho) in equal steps (Karras et al. 2022, eq. 5); with the flow
                           schedule, its noise in place of sigma = noise / signal */
    DM_GRID_EXPONENTIAL = 3 /* log sigma in equal steps; likewise */
};

typedef struct dm_sampler_options {
    uint32_t struct_size;
    dm_solver solver;   /* Default: DM_SOLVER_DDIM. */
    int32_t steps;      /* 1 to T. Default: 50. */
    int32_t batch_size; /* images in one model evaluation, 1 to 4096. Default: 16. */

    /* Which noise levels are visited. */
    dm_spacing spacing;      /* Default: DM_SPACING_AUTO. */
    int32_t steps_offset;    /* leading spacings: added to each timestep. Default: 0. */
    dm_grid grid;            /* solvers from Euler to flow Euler. Default: DM_GRID_AUTO. */
    int32_t final_alpha_one; /* 1: the last step goes to the clean image; 0: to timestep 0's level,
                               not with DDPM. Default: 1. */
    double rho;              /* DM_GRID_KARRAS; 1 to 100. Default: 7. */

    /* The solver. */
    int32_t order;             /* of solvers that have one; 0: the usual. Default: 0. */
    int32_t lower_order_final; /* 1: lower the order towards the last step: UniPC and singlestep
                                  DPM-Solver++ always, DPM-Solver++ and DEIS with fewer than 15
                                  steps. Default: 1. */
    dm_variance variance;      /* DDPM. Default: DM_VARIANCE_AUTO. */
    int32_t rederive_eps; /* DDIM: 1: derive eps from the clipped x_0; 0: keep the predicted eps;
                             -1: on when guidance is used, otherwise off. Other solvers always
                             derive it. Default: -1. */
    double eta;           /* DDIM: 0: deterministic; 1: as noisy as DDPM. Default: 0. */
    double churn;         /* Euler and Heun: S_churn of Karras et al. (2022), algorithm 2, the noise
                             added before each step. Default: 0. */
    double churn_sigma_min; /* S_tmin, in sigma. Default: 0. */
    double churn_sigma_max; /* S_tmax, in sigma. Default: 1e300. */
    double churn_noise;     /* S_noise; of DM_SOLVER_CONSISTENCY, the factor of the noise that its
                               steps add. Default: 1. */

    /* The model's output. */
    int32_t clip;                      /* 1: clip the predicted x_0 to [-1, 1]. Default: 1. */
    dm_prediction expected_prediction; /* what the caller assumes: a network of another type is
                                          refused. Default: DM_PREDICT_ANY. */
    double guidance;         /* classifier-free guidance: unconditional + guidance * (conditional -
                                unconditional) (Ho and Salimans 2022), evaluated as one batch. The
                                latter has label -1, if the network has a row for it, and conditions
                                of zeros; 1: off. Default: 1. */
    double guidance_rescale; /* 0 to 1: how far the guided output is rescaled to the conditional
                               output's standard deviation (Lin et al. 2024, eq. 15, 16).
                               Default: 0. */
    double guidance_begin;   /* guidance is used for t / T in [guidance_begin, guidance_end]
                                (Kynkaanniemi et al. 2024). Default: 0. */
    double guidance_end;     /* Default: 1. */
    double threshold;     /* dynamic thresholding (Saharia et al. 2022): clip x_0 to +-s and divide
                             it by s, s = max(1, this quantile of |x_0|). 0: off. Needs `clip`.
                             Default: 0. */
    double threshold_max; /* upper limit of s, which may be below 1. Default: 1e300. */

    /* Custom levels in place of spacing, grid and steps: at most one list. Copied. */
    uint64_t custom_count; /* of the list. Default: 0. */
    /* Timesteps, whole or fractional, in [0, T-1], strictly falling. Default: NULL. */
    const double *custom_times;
    /* Values of sigma = noise / signal, above 0, strictly falling. Default: NULL. */
    const double *custom_sigmas;

    int32_t diffusers_compatible; /* 1: levels, the first x and steps are those of the scheduler of
                                     diffusers with this solver where they differ from what is
                                     right or usual (docs/diffusers.md). No effect on solvers that
                                     it lacks. Default: 0. */
    int32_t padding;
    double clip_range; /* clip: the predicted x_0 is clipped to +- this, unless `threshold` is set;
                          0: 1. Up to 1e300. Default: 0. */
} dm_sampler_options;

/* The state of a run after a step, for images first to first + count - 1 of the request. */
typedef struct dm_sampler_progress {
    uint32_t struct_size;
    int32_t step;  /* steps done for these images */
    int32_t steps; /* in total */
    int32_t padding;
    uint64_t first;
    uint64_t count;
    uint64_t elements; /* floats of x_t and of x_0 */
    const float *x_t;  /* [count, h, w, c], after the step */
    const float *x_0;  /* [count, h, w, c], predicted by the step's last model evaluation */
} dm_sampler_progress;

/* Called after each step. Non-zero stops the run with DM_ERROR_CANCELLED. */
typedef int32_t (*dm_sampler_callback)(void *user, const dm_sampler_progress *progress);

/* One use of noise in a run. */
typedef struct dm_noise_request {
    uint32_t struct_size;
    int32_t step;      /* 0: the initial noise; i: what step i adds */
    uint64_t first;    /* image of the request */
    uint64_t count;    /* images */
    uint64_t elements; /* floats of one image */
} dm_noise_request;

/* Writes noise [count, elements] in place of the library's. `size` is count * elements. Masked and
 * repeated steps use the library's noise all the same. Non-zero stops the run with
 * DM_ERROR_CALLBACK_FAILED. */
typedef int32_t (*dm_noise_source)(void *user, const dm_noise_request *request, float *noise,
                                   size_t size);

/* The inputs of a caller's model. */
typedef struct dm_denoiser_input {
    uint32_t struct_size;
    int32_t height, width, channels;
    uint64_t first;  /* first image of the request */
    uint64_t count;  /* images. With guidance twice as many: the conditional ones first, then the
                        same images with label -1 */
    double timestep; /* fractional timestep, 0 to T-1 */
    double time;     /* the network's time input (DM_SERIES_TIME) */
    double signal;   /* x = signal x_0 + noise eps, before input scaling */
    double noise;
    const float *x; /* [count, height, width, channels], scaled by c_in of EDM and consistency */
    const int32_t *labels; /* [count], -1 for no class; NULL if the request has none */
    /* Conditions; zeros for the second half with guidance. NULL if the request has none. */
    const float *condition_image;  /* [count, height, width, condition_channels] */
    const float *condition_vector; /* [count, condition_size] */
    uint64_t condition_image_elements, condition_vector_elements; /* of these arrays */
} dm_denoiser_input;

/* Writes the model's output [count, height, width, channels]; `elements` is the number of floats of
 * `output` and of input->x. Non-zero stops the run with DM_ERROR_CALLBACK_FAILED. */
typedef int32_t (*dm_denoiser_evaluate)(void *user, const dm_denoiser_input *input, float *output,
                                        size_t elements);

/* A custom model in place of a dm_unet. */
typedef struct dm_denoiser {
    uint32_t struct_size;
    dm_prediction prediction; /* of its output. Default: DM_PREDICT_EPS. */
    int32_t height, width;    /* 1 to 65536 */
    int32_t channels;         /* 1 to 65536 */
    int32_t classes;          /* as dm_unet_options.classes; -1: any label. Default: -1. */
    double sigma_data;        /* as dm_unet_options.sigma_data. Default: 0.5. */
    dm_denoiser_evaluate evaluate;
    void *user;
    int32_t condition_channels; /* of condition images, 0 to 65536. Default: 0. */
    int32_t condition_size;     /* of condition vectors, 0 to 65536. Default: 0. */
} dm_denoiser;

/* The predictions of one model evaluation, for images first to first + count - 1 of the request,
 * which a guidance may change. */
typedef struct dm_guidance_step {
    uint32_t struct_size;
    int32_t rederive;  /* to be set: 0: x_0 and eps are used as they are; 1: eps is derived anew
                          from x and x_0; 2: x_0 from x and eps. 0 when called */
    uint64_t first;    /* first image of the request */
    uint64_t count;    /* images */
    uint64_t elements; /* of x, of x_0 and of eps */
    double timestep;   /* fractional timestep, 0 to T-1 */
    double time;       /* the network's time input (DM_SERIES_TIME) */
    double signal;     /* x = signal x_0 + noise eps */
    double noise;
    const float *x;        /* [count, h, w, c], x_t without the input scaling of DM_PREDICT_EDM */
    const int32_t *labels; /* [count], -1 for no class; NULL if the request has none */
    double *x_0;           /* [count, h, w, c], may be changed; not clipped yet */
    double *eps;           /* [count, h, w, c], may be changed */
} dm_guidance_step;

/* Guides a run: called at each model evaluation, after classifier-free guidance and before x_0 is
 * clipped. Where eps follows the clipped x_0 (rederive_eps), that comes last. Without a signal x_0
 * cannot be derived from eps, and without noise eps cannot from x_0: it then stays as it is.
 *
 * Classifier guidance (Dhariwal and Nichol 2021, algorithm 2): eps -= noise grad log p(y | x) with
 * the gradient at x, and rederive 2. Reconstruction guidance (Ho et al. 2022, eq. 7;
 * Chung et al. 2023): x_0 -= weight grad |y - A x_0(x)|^2 and rederive 1; dm_unet_input_gradient
 * carries that gradient through the network. Like all calls in the sampler's context it is
 * refused here: share the network into a second context (dm_unet_share) and use that handle.
 *
 * An image is the same in any batch if what the callback does to it depends on that image alone.
 * Non-zero stops the run with DM_ERROR_CALLBACK_FAILED. */
typedef int32_t (*dm_guidance)(void *user, dm_guidance_step *step);

/* The source of random numbers. */
typedef int32_t dm_random;
enum {
    DM_RANDOM_PHILOX =
        0,              /* Philox 4x32-10 (Salmon et al. 2011): independent of batch and threads */
    DM_RANDOM_TORCH = 1 /* PyTorch's CPU generator: image i gets what
                           torch.Generator().manual_seed(seed + i) and torch.randn((1, c, h, w))
                           give at each use of noise */
};

/* What to sample. */
typedef struct dm_sampler_request {
    uint32_t struct_size;
    dm_random random; /* Default: DM_RANDOM_PHILOX. */
    uint64_t count;   /* images, 1 to 65536. Default: 1. */
    uint64_t seed;    /* image i has seed + i, and is the same in any batch. Default: 0. */
    double strength;  /* SDEdit (Meng et al. 2022): only the last strength * steps steps are
                           done, from a noised `image`; above 0, at most 1. Default: 1, all
                           steps from pure noise. */
    int32_t repaint_repetitions; /* with a mask: repetitions of each segment of steps (RePaint,
                              Lugmayr et al. 2022, algorithm 1), 1 to 100; not with multistep
                              solvers. Default: 1. */
    int32_t repaint_jump_length; /* steps of a segment. Default: 10. */
    /* The number of elements of each array below; 0 where it is NULL. */
    uint64_t seed_count, label_count, initial_noise_elements, image_elements, mask_elements;
    const uint64_t *seeds; /* [count], in place of seed + i. Default: NULL. */
    const int32_t *labels; /* [count], -1 for no class. Default: NULL, no class. */
    const float
        *initial_noise;    /* [count, h, w, c], x_T in place of generated noise. Default: NULL. */
    const float *image;    /* [count, h, w, c] in [-1, 1], for strength, mask and dm_sampler_invert.
                              Default: NULL. */
    const float *mask;     /* [count, h, w] in [0, 1]: 1: sampled, 0: kept as in `image`.
                              Default: NULL. */
    dm_noise_source noise; /* Default: NULL. */
    void *noise_user;
    dm_sampler_callback progress; /* Default: NULL. */
    void *progress_user;
    void *padding;
    dm_guidance guide; /* Default: NULL. */
    void *guide_user;
    /* Elements of the arrays below; 0 where they are NULL. */
    uint64_t condition_image_elements, condition_vector_elements;
    const float *condition_image;  /* [count, h, w, condition_channels], in [-1, 1] as trained.
                                      Default: NULL, zeros. */
    const float *condition_vector; /* [count, condition_size]. Default: NULL, zeros. */
} dm_sampler_request;

DM_API dm_status dm_sampler_options_init(dm_sampler_options *options, size_t size);
/* The schedule of a scheduler of diffusers and, unless NULL, what it says about sampling: `path` is
 * a scheduler_config.json, or the folder of a scheduler or pipeline with one. `options` may be
 * NULL; of them only `compatible` matters here. Of `sampler`, which must be initialised, members
 * stay that are arguments of a call there: steps, batch_size, eta, churn and guidance with what
 * belongs to them; custom levels are removed. Classes: docs/diffusers.md. What cannot be expressed
 * is DM_ERROR_UNSUPPORTED with its key and value. */
DM_API dm_status dm_schedule_load_diffusers(dm_schedule **out, dm_context *context,
                                            const char *path, const dm_diffusers_options *options,
                                            dm_sampler_options *sampler);
/* Writes the folder of a pipeline of diffusers, which is created where it is missing, with all
 * weights in `precision`: DDIMPipeline.from_pretrained opens it with DM_SOLVER_DDIM,
 * ConsistencyModelPipeline's with DM_SOLVER_CONSISTENCY, otherwise DDPMPipeline's; which of them
 * draw is said in docs/diffusers.md. `sampler` says which scheduler it has; NULL: that of
 * DM_SOLVER_DDPM with all timesteps. Levels that were left to the solver are left to the scheduler;
 * dm_sampler_get_options has those in effect. DM_VARIANCE_AUTO is written as `steps` decide it.
 * What diffusers cannot express is DM_ERROR_UNSUPPORTED with the option's name. A row for label -1
 * is written as one class more, `classes`, and condition_channels as more channels of the input.
 * Files that were there are replaced once all new ones are written, model_index.json last; on an
 * earlier failure they stay. A folder with an index of shards, which diffusers would read instead,
 * is DM_ERROR_IO. */
DM_API dm_status dm_unet_save_diffusers(const dm_unet *unet, const dm_schedule *schedule,
                                        const dm_sampler_options *sampler, const char *folder,
                                        dm_precision precision);
DM_API dm_status dm_sampler_progress_init(dm_sampler_progress *progress, size_t size);
DM_API dm_status dm_noise_request_init(dm_noise_request *request, size_t size);
DM_API dm_status dm_denoiser_input_init(dm_denoiser_input *input, size_t size);
DM_API dm_status dm_denoiser_init(dm_denoiser *denoiser, size_t size);
DM_API dm_status dm_guidance_step_init(dm_guidance_step *step, size_t size);
DM_API dm_status dm_sampler_request_init(dm_sampler_request *request, size_t size);
/* Samples with `unet`. unet and schedule must outlive the sampler. Guidance with a network that was
 * trained here without label_dropout or, if it has no classes, without condition_dropout is
 * reported through the log. */
DM_API dm_status dm_sampler_create(dm_sampler **out, dm_unet *unet, const dm_schedule *schedule,
                                   const dm_sampler_options *options);
/* Samples with a custom model; `denoiser` is copied. */
DM_API dm_status dm_sampler_create_with_denoiser(dm_sampler **out, dm_context *context,
                                                 const dm_schedule *schedule,
                                                 const dm_denoiser *denoiser,
                                                 const dm_sampler_options *options);
DM_API dm_context *dm_sampler_context(const dm_sampler *sampler);
/* The options in effect: what was left to the solver is filled in. The lists of custom levels are
 * NULL with their custom_count kept, so that they are not taken for a complete description; see
 * dm_sampler_get_levels. */
DM_API dm_status dm_sampler_get_options(const dm_sampler *sampler, dm_sampler_options *options,
                                        size_t size);
/* The size of an image. Each pointer may be NULL. All 0 for a NULL sampler. */
DM_API void dm_sampler_shape(const dm_sampler *sampler, int32_t *height, int32_t *width,
                             int32_t *channels);
/* Number of steps, and of model evaluations, of a run with strength 1 and without RePaint. */
DM_API int32_t dm_sampler_steps(const dm_sampler *sampler);
DM_API int32_t dm_sampler_evaluations(const dm_sampler *sampler);
/* The noise level of each model evaluation, in order: fractional timestep, signal and noise.
 * `count` must be dm_sampler_evaluations. Each array may be NULL. */
DM_API dm_status dm_sampler_get_levels(const dm_sampler *sampler, double *timesteps, double *signal,
                                       double *noise, size_t count);
/* Samples into images [count, h, w, c]; `elements` must be their number of floats. After a failure
 * only the images of finished batches are defined. */
DM_API dm_status dm_sampler_run(dm_sampler *sampler, const dm_sampler_request *request,
                                float *images, size_t elements);
/* A held run: the same in steps, with the same bits, for a caller that must not block.
 * dm_sampler_start copies the request; its arrays must stay valid and unchanged until
 * dm_sampler_finish. dm_sampler_step does one step of one batch and then sets *steps_left, the
 * steps of all batches that remain; 0 after a failure. Other calls in the context may come in
 * between, but if they change the network's weights, the next step returns DM_ERROR_WRONG_STATE. A
 * sampler holds one run at a time: other runs on it return DM_ERROR_WRONG_STATE. A step that fails
 * otherwise ends the run. */
DM_API dm_status dm_sampler_start(dm_sampler *sampler, const dm_sampler_request *request);
DM_API dm_status dm_sampler_step(dm_sampler *sampler, int32_t *steps_left);
/* x_0 as predicted at the last step, for all images; 0 for those whose batch has not begun. */
DM_API dm_status dm_sampler_get_preview(const dm_sampler *sampler, float *images, size_t elements);
/* Ends the run and copies its images. With NULL and 0 it is abandoned, and a request to cancel is
 * discarded. DM_ERROR_WRONG_STATE if steps are left, and the run stays. */
DM_API dm_status dm_sampler_finish(dm_sampler *sampler, float *images, size_t elements);
/* Writes the initial noise x_T of that request to noise [count, h, w, c]; it may be edited or
 * interpolated and become a request's initial_noise. */
DM_API dm_status dm_sampler_initial_noise(dm_sampler *sampler, const dm_sampler_request *request,
                                          float *noise, size_t elements);
/* DDIM inversion (Song, Meng and Ermon 2021, sec. 4.3): from the request's `image` to the noise
 * from which DDIM with eta 0 samples it, noise [count, h, w, c]. Approximate, and better with more
 * steps; best for eps, since the output is evaluated at the level before, as in diffusers. */
DM_API dm_status dm_sampler_invert(dm_sampler *sampler, const dm_sampler_request *request,
                                   float *noise, size_t elements);
/* Spherical interpolation (Shoemake 1985) between two noise arrays: out = sin((1-w) u) / sin(u) a +
 * sin(w u) / sin(u) b, u the angle between a and b, w = weight in [0, 1]; linear where they are
 * nearly parallel. out may be a or b. */
DM_API dm_status dm_noise_interpolate(float *out, const float *a, const float *b, double weight,
                                      size_t elements);
/* As dm_trainer_cancel, for runs, held runs and inversions. */
DM_API void dm_sampler_cancel(dm_sampler *sampler);
DM_API void dm_sampler_destroy(dm_sampler *sampler);

/* ---- Evaluation -------------------------------------------------------------------------------
 * The variational bound on the likelihood of images (Ho et al. 2020, eq. 5), in bits per value, and
 * the prediction error by quarters of the timesteps. */

typedef struct dm_evaluation_options {
    uint32_t struct_size;
    int32_t batch_size;   /* images in one model evaluation, 1 to 4096. Default: 16. */
    uint64_t first;       /* first image of the dataset. Default: 0. */
    uint64_t count;       /* at most; 0: all that follow. Default: 256. */
    uint64_t seed;        /* Default: 0. */
    int32_t timesteps;    /* per image, beside the first: one from each of that many strata of the
                             T - 1 others, weighted by its stratum: an unbiased estimate; 0: all.
                             Default: 20. */
    dm_variance variance; /* of the steps. DM_VARIANCE_AUTO is DM_VARIANCE_FIXED_LARGE; a learned
                             one must be requested. Default: DM_VARIANCE_AUTO. */
    int32_t clip;         /* 1: clip the predicted x_0 to [-1, 1]. Default: 1. */
    int32_t use_labels;   /* 1: give the dataset's labels to a network with classes. Default: 1. */
} dm_evaluation_options;

typedef struct dm_evaluation {
    uint32_t struct_size;
    int32_t padding;
    uint64_t images;
    double bits;           /* per value: all terms together. NaN, like the terms, without betas */
    double standard_error; /* of `bits`, over images; 0 for one image */
    double prior_bits;     /* L_T */
    double step_bits;      /* L_1 to L_(T-1) */
    double decoder_bits;   /* L_0 */
    double loss[4];        /* mean squared prediction error in each quarter of the timesteps, the
                              cleanest first; NaN where none was evaluated */
} dm_evaluation;

/* Called after each model evaluation of a batch, with those done and in total, counted per image;
 * non-zero stops with DM_ERROR_CANCELLED. */
typedef int32_t (*dm_evaluation_callback)(void *user, uint64_t done, uint64_t total);

DM_API dm_status dm_evaluation_options_init(dm_evaluation_options *options, size_t size);
DM_API dm_status dm_evaluation_init(dm_evaluation *evaluation, size_t size);
/* The dataset must be of the network's context, and have the conditions that the network takes. An
 * image's terms depend on the seed, its index and `timesteps`, not on its batch. A self-conditioned
 * network gets 0 as previous estimate. The callback may be NULL. */
DM_API dm_status dm_unet_evaluate(dm_unet *unet, const dm_schedule *schedule,
                                  const dm_dataset *dataset, const dm_evaluation_options *options,
                                  dm_evaluation_callback callback, void *user,
                                  dm_evaluation *result);

/* ---- Images -----------------------------------------------------------------------------------
 * uint8_t [height, width, channels] with 1 channel (grey), 3 (RGB) or 4 (RGBA). `bytes` and
 * `elements` are the sizes of the arrays before them. */

/* A grid of images with a white gap around each. */
typedef struct dm_image_grid_options {
    uint32_t struct_size;
    int32_t height, width, channels; /* of one image */
    int32_t columns;                 /* images in a row. Default: 8. */
    int32_t scale;                   /* enlargement, 1 to 64. Default: 1. */
    int32_t gap;                     /* pixels, 0 to 1024. Default: 1. */
    int32_t padding;
    uint64_t count; /* images */
} dm_image_grid_options;

/* An animated PNG. */
typedef struct dm_image_animation {
    uint32_t struct_size;
    int32_t height, width, channels; /* of one frame */
    int32_t frames;
    int32_t delay_ms;      /* of each frame, 0 to 65535. Default: 100. */
    int32_t last_delay_ms; /* of the last frame. Default: 1000. */
    int32_t padding;
} dm_image_animation;

DM_API dm_status dm_image_grid_options_init(dm_image_grid_options *options, size_t size);
DM_API dm_status dm_image_animation_init(dm_image_animation *animation, size_t size);
/* pixels [elements] = round((x + 1) * 127.5), clamped to 0 to 255; NaN gives 0. */
DM_API dm_status dm_image_to_u8(uint8_t *pixels, const float *images, size_t elements);
/* images [elements] = x / 127.5 - 1. */
DM_API dm_status dm_image_from_u8(float *images, const uint8_t *pixels, size_t elements);
/* The size of a grid in pixels. */
DM_API dm_status dm_image_grid_size(const dm_image_grid_options *options, int32_t *height,
                                    int32_t *width);
/* Draws images [count, height, width, channels] as a grid [grid height, grid width, channels]. */
DM_API dm_status dm_image_draw_grid(const dm_image_grid_options *options, uint8_t *grid,
                                    size_t grid_bytes, const uint8_t *images, size_t bytes);
/* Encodes a PNG into `buffer`; *size becomes its number of bytes. With a NULL buffer, *size becomes
 * a bound that suffices. If `capacity` is below the bound, *size is the bound and the status is
 * DM_ERROR_SHAPE_MISMATCH. */
DM_API dm_status dm_image_encode_png(dm_context *context, uint8_t *buffer, size_t capacity,
                                     size_t *size, const uint8_t *pixels, size_t bytes,
                                     int32_t height, int32_t width, int32_t channels);
DM_API dm_status dm_image_write_png(dm_context *context, const char *path, const uint8_t *pixels,
                                    size_t bytes, int32_t height, int32_t width, int32_t channels);
/* Writes frames [frames, height, width, channels] as an animated PNG that loops for ever. Viewers
 * without animation show the last frame. */
DM_API dm_status dm_image_write_apng(dm_context *context, const char *path, const uint8_t *frames,
                                     size_t bytes, const dm_image_animation *animation);

#ifdef __cplusplus
}
#endif

#endif
