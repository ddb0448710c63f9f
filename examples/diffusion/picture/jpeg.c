/* SPDX-License-Identifier: MIT */
/* Decodes JPEG by libjpeg, with its scaled inverse DCT where the picture becomes much smaller: a
 * block of 8 x 8 pixels is decoded as 4 x 4, 2 x 2 or 1. Colour profiles are passed over. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include <jerror.h>

#include "picture/decode.h"
#include "picture/resize.h"

/* Pixels that are decoded for one of the result, along each axis, at least. Against the mean of the
 * whole picture, pictures with the spectrum of photographs have 44 to 46 dB with 2 and 35 to 37 dB
 * with 1, where the DCT does nearly all of the scaling; that would be a tenth faster. */
enum { LEAST_DECODED = 2 };
/* A file of many scans could make little data take long: at most so many, and so many pixels in all
 * of them. A usual progressive file has 10. */
enum { MOST_SCANS = 500, MOST_FULL_SCANS = 20 };
/* A block of 64 pixels takes at least one bit, for its mean; of the component with the most blocks
 * there is at least one for 4 blocks of pixels. (Arithmetic coding can take less.) */
enum { MOST_PIXELS_FROM_A_BYTE = 8 * 64 * 4 };

typedef struct jpeg_decoder {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    const picture_file *file;
    jmp_buf failed;
    scaler scaler;
    int32_t orientation; /* 0: none yet */
    JSAMPLE *row;        /* [output_width, output_components] */
    uint8_t *colours;    /* [output_width, channels of the result] */
    uint8_t app1[65533];
} jpeg_decoder;

/* ---- libjpeg's calls back ---- */

__attribute__((noreturn)) static void on_error(j_common_ptr info) {
    jpeg_decoder *d = info->client_data;
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    picture_fail(d->file, "%s", text);
    longjmp(d->failed, 1);
}

/* Warnings: those after which pixels are missing or wrong are errors. */
static void on_message(j_common_ptr info, int level) {
    jpeg_decoder *d = info->client_data;
    if (level >= 0) return;
    switch (info->err->msg_code) {
        case JWRN_ADOBE_XFORM:
        case JWRN_EXTRANEOUS_DATA: /* bytes between two markers, which do no harm */
        case JWRN_JFIF_MAJOR:
        case JWRN_NOT_SEQUENTIAL: return;
        case JWRN_JPEG_EOF: picture_fail_short(d->file); longjmp(d->failed, 1);
        default: on_error(info);
    }
}

static void on_print(j_common_ptr info) { (void)info; }

static void on_progress(j_common_ptr common) {
    const jpeg_decoder *d = common->client_data;
    const int64_t pixels = (int64_t)d->info.image_height * d->info.image_width;
    const int64_t scans = d->info.input_scan_number;
    if (scans <= MOST_SCANS && scans * pixels <= (int64_t)MOST_FULL_SCANS * PICTURE_MOST_PIXELS)
        return;
    picture_fail(d->file, "has too many scans");
    longjmp(((jpeg_decoder *)common->client_data)->failed, 1);
}

/* The source of libjpeg for files never has to wait. */
static uint8_t next_byte(j_decompress_ptr info) {
    struct jpeg_source_mgr *source = info->src;
    if (!source->bytes_in_buffer) source->fill_input_buffer(info);
    source->bytes_in_buffer--;
    return *source->next_input_byte++;
}

/* An APP1 marker: its length in two bytes, and data. */
static boolean on_app1(j_decompress_ptr info) {
    jpeg_decoder *d = info->client_data;
    const size_t high = next_byte(info), length = high << 8 | next_byte(info);
    if (length < 2) ERREXIT(info, JERR_BAD_LENGTH);
    for (size_t i = 0; i < length - 2; i++) d->app1[i] = next_byte(info);
    if (!d->orientation) d->orientation = picture_exif_orientation(d->app1, length - 2);
    return TRUE;
}

/* ---- colours ---- */

/* Cyan, magenta, yellow, black to RGB or grey. Adobe's files store 255 less each of them. */
static void convert_cmyk(jpeg_decoder *d, int32_t channels) {
    const uint32_t flip = d->info.saw_Adobe_marker ? 0 : 255;
    const uint8_t *from = d->row;
    uint8_t *to = d->colours;
    for (JDIMENSION x = 0; x < d->info.output_width; x++, from += 4) {
        const uint32_t k = from[3] ^ flip;
        uint32_t rgb[3];
        for (int c = 0; c < 3; c++) rgb[c] = ((from[c] ^ flip) * k + 127) / 255;
        if (channels == 1) *to++ = (uint8_t)picture_luma(rgb[0], rgb[1], rgb[2]);
        else
            for (int c = 0; c < 3; c++) *to++ = (uint8_t)rgb[c];
    }
}

/* ---- decoding ---- */

static int read_header(jpeg_decoder *d, picture_header *h) {
    struct jpeg_decompress_struct *info = &d->info;
    jpeg_stdio_src(info, d->file->file);
    jpeg_set_marker_processor(info, JPEG_APP0 + 1, on_app1);
    jpeg_read_header(info, TRUE);
    const int64_t pixels = (int64_t)info->image_height * info->image_width;
    if (picture_check_size(d->file, "has", info->image_height, info->image_width)) return 1;
    /* A small file cannot claim much memory. */
    if (!info->arith_code && pixels / MOST_PIXELS_FROM_A_BYTE > d->file->bytes)
        return picture_fail(d->file, "cut off");
    if (info->jpeg_color_space == JCS_UNKNOWN)
        return picture_fail(d->file, "has %d colour components; 1, 3 and 4 are read",
                            info->num_components);
    h->height = (int32_t)info->image_height;
    h->width = (int32_t)info->image_width;
    h->channels = info->jpeg_color_space == JCS_GRAYSCALE ? 1 : 3;
    h->alpha = 0;
    h->bits = info->data_precision;
    h->orientation = d->orientation ? d->orientation : 1;
    return 0;
}

/* How many pixels along an axis are decoded as one: 1, 2, 4 or 8. */
static int32_t choose_reduction(const picture_header *h, int32_t height, int32_t width) {
    int32_t reduction = 8;
    while (reduction > 1 && ((h->height + reduction - 1) / reduction < LEAST_DECODED * height ||
                             (h->width + reduction - 1) / reduction < LEAST_DECODED * width))
        reduction /= 2;
    return reduction;
}

static int read_pixels(jpeg_decoder *d, const picture_header *h, const picture_options *o,
                       picture *out) {
    struct jpeg_decompress_struct *info = &d->info;
    const int cmyk = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
    int32_t height, width;
    if (picture_target_size(d->file, h, o, &height, &width)) return 1;
    const int32_t reduction = choose_reduction(h, height, width);
    info->scale_num = 1;
    info->scale_denom = (unsigned)reduction;
    info->out_color_space = cmyk ? JCS_CMYK : o->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    info->progress = &d->progress;
    if (scaler_begin(&d->scaler, out, h, height, width, o->channels, reduction))
        return picture_fail(d->file, "out of memory");
    jpeg_start_decompress(info);
    const size_t columns = info->output_width;
    if (columns != (size_t)d->scaler.x.from || (int32_t)info->output_height != d->scaler.y.from)
        return picture_fail(d->file, "this version of libjpeg scales to another size");
    d->row = malloc(columns * (size_t)info->output_components);
    d->colours = malloc(columns * (size_t)o->channels);
    if (!d->row || !d->colours) return picture_fail(d->file, "out of memory");
    while (info->output_scanline < info->output_height) {
        jpeg_read_scanlines(info, &d->row, 1);
        if (cmyk) convert_cmyk(d, o->channels);
        scaler_row(&d->scaler, cmyk ? d->colours : d->row);
    }
    jpeg_finish_decompress(info);
    return 0;
}

/* Returns here from an error within libjpeg. */
static int try_to_decode(jpeg_decoder *d, picture_header *h, const picture_options *o,
                         picture *out) {
    if (setjmp(d->failed)) return 1;
    jpeg_create_decompress(&d->info);
    if (read_header(d, h)) return 1;
    return o ? read_pixels(d, h, o, out) : 0;
}

int picture_decode_jpeg(const picture_file *f, picture_header *header,
                        const picture_options *options, picture *out) {
    jpeg_decoder *d = calloc(1, sizeof *d);
    if (!d) return picture_fail(f, "out of memory");
    d->file = f;
    d->info.err = jpeg_std_error(&d->errors);
    d->info.client_data = d;
    d->errors.error_exit = on_error;
    d->errors.emit_message = on_message;
    d->errors.output_message = on_print;
    d->progress.progress_monitor = on_progress;
    const int bad = try_to_decode(d, header, options, out);
    jpeg_destroy_decompress(&d->info);
    scaler_end(&d->scaler);
    free(d->row);
    free(d->colours);
    free(d);
    return bad;
}
