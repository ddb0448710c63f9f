/* SPDX-License-Identifier: MIT */
/* The generated shapes. Each is a signed distance, negative inside, in units of the shape's radius,
 * with y pointing down. A pixel's coverage is the distance of its centre to the edge, clamped to
 * one pixel. */
#include "dataset/shape_drawing.h"

#include <math.h>
#include <stdbool.h>

typedef struct point {
    float x, y;
} point;

typedef struct rgb {
    float r, g, b;
} rgb;

/* ---- distances ---- */

typedef struct polygon {
    int32_t count;
    float rounding; /* distance from the polygon to the outline, which rounds its corners */
    point points[12];
} polygon;

static const polygon square = {
    4, 0.2f, {{-0.63f, -0.63f}, {0.63f, -0.63f}, {0.63f, 0.63f}, {-0.63f, 0.63f}}};
static const polygon triangle = {3, 0.17f, {{0, -0.73f}, {0.75f, 0.57f}, {-0.75f, 0.57f}}};
static const polygon diamond = {4, 0.12f, {{0, -0.92f}, {0.6f, 0}, {0, 0.92f}, {-0.6f, 0}}};
static const polygon cross = {12,
                              0.12f,
                              {{-0.2f, -0.84f},
                               {0.2f, -0.84f},
                               {0.2f, -0.2f},
                               {0.84f, -0.2f},
                               {0.84f, 0.2f},
                               {0.2f, 0.2f},
                               {0.2f, 0.84f},
                               {-0.2f, 0.84f},
                               {-0.2f, 0.2f},
                               {-0.84f, 0.2f},
                               {-0.84f, -0.2f},
                               {-0.2f, -0.2f}}};
/* Points at distances 0.95 and 0.44, every 36 degrees. */
static const polygon star = {10,
                             0.1f,
                             {{0, -0.95f},
                              {0.2586f, -0.3560f},
                              {0.9035f, -0.2936f},
                              {0.4185f, 0.1360f},
                              {0.5584f, 0.7686f},
                              {0, 0.44f},
                              {-0.5584f, 0.7686f},
                              {-0.4185f, 0.1360f},
                              {-0.9035f, -0.2936f},
                              {-0.2586f, -0.3560f}}};
static const polygon arrow = {7,
                              0.12f,
                              {{0.87f, 0},
                               {0.08f, 0.72f},
                               {0.08f, 0.2f},
                               {-0.87f, 0.2f},
                               {-0.87f, -0.2f},
                               {0.08f, -0.2f},
                               {0.08f, -0.72f}}};

static float polygon_distance(const polygon *p, point at) {
    float nearest = INFINITY;
    bool inside = false;
    for (int32_t i = 0, j = p->count - 1; i < p->count; j = i++) {
        const point a = p->points[i], b = p->points[j];
        const float ex = b.x - a.x, ey = b.y - a.y, wx = at.x - a.x, wy = at.y - a.y;
        const float along = fminf(fmaxf((wx * ex + wy * ey) / (ex * ex + ey * ey), 0), 1);
        const float dx = wx - along * ex, dy = wy - along * ey;
        nearest = fminf(nearest, dx * dx + dy * dy);
        /* A ray to the right crosses an odd number of edges from inside. */
        if ((a.y > at.y) != (b.y > at.y) && wx < wy / ey * ex) inside = !inside;
    }
    return (inside ? -sqrtf(nearest) : sqrtf(nearest)) - p->rounding;
}

static float disc_distance(point at, float x, float y, float radius) {
    return sqrtf((at.x - x) * (at.x - x) + (at.y - y) * (at.y - y)) - radius;
}

static float circle_distance(const polygon *none, point at) {
    (void)none;
    return disc_distance(at, 0, 0, 0.92f);
}

static float ring_distance(const polygon *none, point at) {
    (void)none;
    return fabsf(disc_distance(at, 0, 0, 0.7f)) - 0.25f;
}

/* A square standing on its corner, with a disc on each of its upper edges. */
static float heart_distance(const polygon *none, point at) {
    (void)none;
    const float half = 0.57f, diagonal = 0.70710678f;
    const float y = at.y - 0.1f, u = fabsf(at.x + y) * diagonal - half,
                v = fabsf(at.x - y) * diagonal - half;
    const float square_part =
        sqrtf(fmaxf(u, 0) * fmaxf(u, 0) + fmaxf(v, 0) * fmaxf(v, 0)) + fminf(fmaxf(u, v), 0);
    const point mirrored = {fabsf(at.x), y};
    return fminf(square_part, disc_distance(mirrored, half * diagonal, -half * diagonal, half));
}

/* A disc minus a smaller one. */
static float moon_distance(const polygon *none, point at) {
    (void)none;
    return fmaxf(disc_distance(at, 0.12f, 0, 0.98f), -disc_distance(at, 0.57f, -0.1f, 0.77f));
}

typedef struct shape_kind {
    float (*distance)(const polygon *outline, point at);
    const polygon *outline;
    float rotation; /* largest angle in radians; small enough that shapes stay distinct */
} shape_kind;

/* In the order of the class names in shapes.c. */
static const shape_kind kinds[DMI_SHAPES] = {
    {circle_distance, 0, 0},
    {polygon_distance, &square, 0.2f},
    {polygon_distance, &triangle, 0.25f},
    {polygon_distance, &star, 0.3f},
    {ring_distance, 0, 0},
    {polygon_distance, &cross, 0.2f},
    {heart_distance, 0, 0.25f},
    {moon_distance, 0, 0.35f},
    {polygon_distance, &diamond, 0.15f},
    {polygon_distance, &arrow, 0.35f},
};

/* ---- colours ---- */

enum { HUES = 12, BACKGROUNDS = 6 };

/* Bright colours for dark backgrounds, deep ones for light backgrounds. */
static const rgb bright[HUES] = {{255, 92, 92},   {255, 140, 66},  {255, 196, 61},  {182, 220, 72},
                                 {82, 208, 110},  {38, 208, 176},  {58, 196, 240},  {86, 146, 255},
                                 {124, 116, 255}, {174, 110, 255}, {236, 102, 214}, {255, 94, 150}};
static const rgb deep[HUES] = {{112, 172, 30}, {28, 156, 84}, {0, 150, 142},  {14, 132, 204},
                               {44, 96, 224},  {88, 72, 216}, {136, 62, 208}, {200, 48, 162},
                               {222, 44, 110}, {226, 54, 62}, {234, 106, 28}, {242, 158, 0}};
static const rgb dark_backgrounds[BACKGROUNDS] = {{24, 28, 52}, {34, 26, 56}, {46, 26, 50},
                                                  {38, 34, 44}, {20, 40, 48}, {18, 34, 58}};
static const rgb light_backgrounds[BACKGROUNDS] = {{252, 244, 230}, {250, 238, 236},
                                                   {244, 240, 252}, {234, 242, 252},
                                                   {234, 248, 244}, {248, 248, 232}};

static rgb mix(rgb from, rgb to, float weight) {
    return (rgb){from.r + weight * (to.r - from.r), from.g + weight * (to.g - from.g),
                 from.b + weight * (to.b - from.b)};
}

/* Interpolates a palette at u in [0, 1). */
static rgb from_palette(const rgb *palette, int32_t count, float u) {
    const float position = u * (float)(count - 1);
    const int32_t first = (int32_t)position;
    return mix(palette[first], palette[first + 1], position - (float)first);
}

/* ---- the image ---- */

typedef struct scene {
    point centre; /* in pixels */
    float radius; /* in pixels */
    float cosine, sine;
    rgb colour, top, bottom;
} scene;

#define RADIUS_MIN 0.29f
#define RADIUS_RANGE 0.12f
#define SHIFT_MAX 0.13f

static scene make_scene(int32_t size, float rotation, const float *numbers) {
    enum { RADIUS, X, Y, ROTATION, HUE, LIGHT, BACKGROUND, GRADIENT, SLOPE };
    scene s;
    const float radius = RADIUS_MIN + RADIUS_RANGE * numbers[RADIUS];
    const float shift = fminf(0.47f - 1.1f * radius, SHIFT_MAX); /* of the centre, at most */
    s.radius = radius * (float)size;
    s.centre.x = (0.5f + shift * (2 * numbers[X] - 1)) * (float)size;
    s.centre.y = (0.5f + shift * (2 * numbers[Y] - 1)) * (float)size;
    const float angle = rotation * (2 * numbers[ROTATION] - 1);
    s.cosine = cosf(angle);
    s.sine = sinf(angle);
    const bool light = numbers[LIGHT] < 0.35f;
    s.colour = from_palette(light ? deep : bright, HUES, numbers[HUE]);
    s.top = from_palette(light ? light_backgrounds : dark_backgrounds, BACKGROUNDS,
                         numbers[BACKGROUND]);
    s.bottom = s.top;
    if (numbers[GRADIENT] < 0.35f) {
        const rgb black = {0, 0, 0}, grey = {128, 136, 168};
        const float slope = 0.5f + 0.5f * numbers[SLOPE];
        s.bottom = light ? mix(s.top, black, 0.1f * slope) : mix(s.top, grey, 0.3f * slope);
    }
    return s;
}

void dmi_shape_describe(float description[DMI_SHAPE_DESCRIPTION],
                        const float numbers[DMI_SHAPE_NUMBERS]) {
    const scene s = make_scene(1, 0, numbers);
    const float values[DMI_SHAPE_DESCRIPTION] = {
        (s.centre.x - 0.5f) / SHIFT_MAX,
        (s.centre.y - 0.5f) / SHIFT_MAX,
        (s.radius - RADIUS_MIN - RADIUS_RANGE / 2) / (RADIUS_RANGE / 2),
        s.colour.r / 127.5f - 1,
        s.colour.g / 127.5f - 1,
        s.colour.b / 127.5f - 1,
    };
    for (int32_t i = 0; i < DMI_SHAPE_DESCRIPTION; i++) description[i] = values[i];
}

void dmi_shape_draw(uint8_t *pixels, int32_t size, int32_t shape,
                    const float numbers[DMI_SHAPE_NUMBERS]) {
    const shape_kind *kind = &kinds[shape];
    const scene s = make_scene(size, kind->rotation, numbers);
    const float reach = s.radius * 1.25f + 1; /* no pixel of a shape is farther from its centre */
    for (int32_t row = 0; row < size; row++) {
        const rgb background = mix(s.top, s.bottom, ((float)row + 0.5f) / (float)size);
        const float y = (float)row + 0.5f - s.centre.y;
        for (int32_t column = 0; column < size; column++, pixels += 3) {
            const float x = (float)column + 0.5f - s.centre.x;
            float coverage = 0;
            if (x * x + y * y < reach * reach) {
                const point at = {(s.cosine * x + s.sine * y) / s.radius,
                                  (s.cosine * y - s.sine * x) / s.radius};
                coverage = fminf(fmaxf(0.5f - kind->distance(kind->outline, at) * s.radius, 0), 1);
            }
            const rgb colour = mix(background, s.colour, coverage);
            pixels[0] = (uint8_t)(colour.r + 0.5f);
            pixels[1] = (uint8_t)(colour.g + 0.5f);
            pixels[2] = (uint8_t)(colour.b + 0.5f);
        }
    }
}
