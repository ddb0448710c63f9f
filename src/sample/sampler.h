/* The sampler's insides. */
#ifndef DM_SRC_SAMPLER_H
#define DM_SRC_SAMPLER_H

#include <stdatomic.h>

#include "base/torch_random.h"
#include "sample/solver.h"
#include "unet/unet.h"

/* What there is of each picture of a batch, n = height * width * channels values each. Made by the
 * first run that needs so many pictures, and kept. */
typedef struct dmi_sampler_buffers {
    size_t capacity;                 /* pictures */
    double *x, *saved, *x_0, *eps;   /* [capacity, n] */
    double *memory[DMI_MEMORY_MOST]; /* likewise, as many as the solver has */
    double *scratch;                 /* [capacity, n], with dynamic thresholding; else NULL */
    float *input; /* [halves, capacity, n], what it saw before at its side where self-conditioned */
    float *answer; /* [halves, capacity, n], with the learned variance at its side where there is
                      one */
    float *output, *variance; /* [capacity, n]: the two, parted and guided; variance may be NULL */
    float *noise;             /* [capacity, n] */
    float *shown_x, *shown_x_0; /* [capacity, n]: x and x_0 as floats */
    float *drawn;               /* [capacity, n]: PyTorch's noise, channel by channel */
    int32_t *labels;            /* [halves, capacity] */
    uint8_t *faults;            /* [capacity]: what a task found wrong with its picture */
    dmi_torch *torch;           /* [capacity] */
} dmi_sampler_buffers;

struct dm_sampler {
    dm_context *context;
    dm_unet *unet; /* NULL: the caller's denoiser */
    dm_denoiser denoiser;
    void *denoiser_user;
    const dm_schedule *schedule;
    const dmi_solver *solver;
    dm_sampler_options options; /* 'timesteps' is NULL; they are below */
    int32_t prediction;         /* DM_PREDICT_* */
    double sigma_data;
    int32_t height, width, channels;
    bool self_conditioning;
    size_t elements;   /* of one picture */
    double *timesteps; /* [steps + 1], see dmi_path */
    dmi_level *levels; /* [steps + 1] */
    dmi_stage *stages; /* of the steps from `planned_first` on */
    int32_t *begins;   /* [steps + 1]: where the stages of each step begin */
    int32_t planned_first;
    atomic_int
        cancelled; /* set by dm_sampler_cancel, cleared where DM_ERROR_CANCELLED is returned */
    dmi_sampler_buffers buffers;
};

/* ---- sampler_options.c ---- */

extern const dm_sampler_options dmi_sampler_defaults;
/* Refuses what makes no sense, by name and value, and what does not go together, by both names. */
int32_t dmi_sampler_check_options(const dm_sampler *sampler, const dm_sampler_options *options);

/* ---- sampler_plan.c ---- */

/* Timesteps and levels. */
int32_t dmi_sampler_plan_levels(dm_sampler *sampler);
/* The stages of the steps from `first` on. */
void dmi_sampler_plan_stages(dm_sampler *sampler, int32_t first);
/* The reading of the network's output at a stage. */
dmi_reading dmi_sampler_reading(const dm_sampler *sampler, const dmi_stage *stage);

/* ---- sampler_buffers.c ---- */

int32_t dmi_sampler_reserve(dm_sampler *sampler, size_t pictures);
void dmi_sampler_release(dm_sampler *sampler);

/* ---- one batch under way ---- */

typedef struct dmi_run {
    dm_sampler *sampler;
    const dm_sampler_request *request;
    const dmi_stage *stages; /* of all steps */
    const int32_t *begins;
    const dmi_level *levels;
    size_t first;  /* its first picture */
    size_t count;  /* pictures that are wanted of it */
    size_t size;   /* pictures that go through the network: those after `count` repeat earlier ones,
                      for its sake */
    int32_t step;  /* of the path */
    int32_t visit; /* steps gone through, with those that are repeated: the address of their noise.
                      0: before the first */
    bool only_begins;   /* no step is done */
    int32_t remembered; /* stages that are in the memory, or have been */
} dmi_run;

/* What a task can find wrong with its picture. */
enum { DMI_FAULT_NONE = 0, DMI_FAULT_OUTPUT = 1, DMI_FAULT_NOISE = 2, DMI_FAULT_PICTURE = 3 };

/* sampler_noise.c: standard normal noise for picture i of the batch, into `noise` [n]; `stream` is
 * DMI_STREAM_*. In a task. */
void dmi_run_draw(const dmi_run *run, size_t i, uint32_t stream, float *noise);
/* From the caller's noise source, for all pictures. */
int32_t dmi_run_ask_noise(const dmi_run *run, float *noise);

/* sampler_predict.c: the network's answer to `input`, guided, in `output` (and `variance`). */
int32_t dmi_run_predict(const dmi_run *run, const dmi_stage *stage);

/* sampler_stage.c */
int32_t dmi_run_stage(dmi_run *run, const dmi_stage *stage);

/* sampler_run.c: all pictures of the request, from step `first` of the run's way on. A cancel
 * stands until a call has told of it, which dmi_run_end is for. */
int32_t dmi_run_batches(dmi_run *run, int32_t first, float *images);
int32_t dmi_run_end(dm_sampler *sampler, int32_t status);

/* sampler_request.c */
extern const dm_sampler_request dmi_request_defaults;
int32_t dmi_request_check(const dm_sampler *sampler, const dm_sampler_request *request,
                          const float *images, size_t elements);
/* The step that its strength begins with. */
int32_t dmi_request_first(const dm_sampler *sampler, const dm_sampler_request *request);

#endif
