/* SPDX-License-Identifier: MIT */
/* Decodes PNG by libpng, row by row unless it is interlaced. Chunks that do not change a pixel,
 * and gAMA, cHRM, sRGB, iCCP and eXIf, are passed over without being unpacked. */
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>

#include "picture/decode.h"
#include "picture/resize.h"

/* Deflate makes at most this many bytes of one (zlib's technical notes, "maximum compression
 * factor"). */
enum { MOST_FROM_A_BYTE = 1032 };

typedef struct png_decoder {
    const picture_file *file;
    png_structp png;
    png_infop info;
    jmp_buf failed;
    scaler scaler;
    int channels, bits;    /* of a pixel as libpng gives it: 1 to 4, 8 or 16 */
    int to_channels;       /* 1 or 3 */
    uint8_t background[3]; /* [to_channels] */
    size_t row_bytes;      /* as libpng gives it */
    uint8_t *rows;         /* [row_bytes], or all of them of an interlaced picture */
    uint8_t *row;          /* [width, to_channels] */
} png_decoder;

/* ---- libpng's calls back ---- */

__attribute__((noreturn)) static void on_error(png_structp png, png_const_charp text) {
    png_decoder *d = png_get_error_ptr(png);
    picture_fail(d->file, "%s", text);
    longjmp(d->failed, 1);
}

static void on_warning(png_structp png, png_const_charp text) { (void)png, (void)text; }

static void on_read(png_structp png, png_bytep to, size_t count) {
    png_decoder *d = png_get_io_ptr(png);
    if (fread(to, 1, count, d->file->file) == count) return;
    picture_fail_short(d->file);
    longjmp(d->failed, 1);
}

/* ---- colours ---- */

/* A value of `most` = 255 or 65535 and its opacity, over a byte, as a byte, rounded once. */
static inline uint8_t over(uint64_t value, uint64_t alpha, uint64_t under, uint64_t most) {
    const uint64_t scale = most / 255, divisor = most * scale;
    return (uint8_t)((value * alpha + under * scale * (most - alpha) + divisor / 2) / divisor);
}

static inline uint32_t value_at(const uint8_t *row, size_t i, int bits) {
    return bits == 8 ? row[i] : (uint32_t)row[2 * i] << 8 | row[2 * i + 1];
}

/* A row of libpng's to d->row. */
static inline void convert_row(const png_decoder *d, const uint8_t *from, int32_t width, int bits) {
    const uint32_t most = bits == 8 ? 255 : 65535;
    const size_t channels = (size_t)d->channels, colours = channels > 2 ? 3 : 1;
    const int to_channels = d->to_channels == 1 ? 1 : 3;
    uint8_t *to = d->row;
    for (size_t i = 0; i < channels * (size_t)width; i += channels) {
        uint32_t colour[3], alpha = most;
        for (size_t c = 0; c < 3; c++) colour[c] = value_at(from, i + (colours == 3 ? c : 0), bits);
        if (channels > colours) alpha = value_at(from, i + colours, bits);
        if (to_channels == 1 && colours == 3)
            colour[0] = picture_luma(colour[0], colour[1], colour[2]);
        for (int c = 0; c < to_channels; c++)
            *to++ = over(colour[c], alpha, d->background[c], most);
    }
}

static void give_row(png_decoder *d, const uint8_t *from, int32_t width) {
    if (d->bits == 8 && d->channels == d->to_channels) {
        scaler_row(&d->scaler, from);
        return;
    }
    if (d->bits == 8) convert_row(d, from, width, 8);
    else convert_row(d, from, width, 16);
    scaler_row(&d->scaler, d->row);
}

/* ---- decoding ---- */

static int read_header(png_decoder *d, picture_header *h) {
    png_set_read_fn(d->png, d, on_read);
    /* Larger ones are refused below, with a text that gives the size. */
    png_set_user_limits(d->png, 0x7fffffff, 0x7fffffff);
    png_set_keep_unknown_chunks(d->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(d->png, d->info);
    const int64_t height = png_get_image_height(d->png, d->info);
    const int64_t width = png_get_image_width(d->png, d->info);
    const int type = png_get_color_type(d->png, d->info);
    if (picture_check_size(d->file, "has", height, width)) return 1;
    /* A small file cannot claim much memory. */
    const int64_t needed = height * (int64_t)png_get_rowbytes(d->png, d->info);
    if (needed / MOST_FROM_A_BYTE > d->file->bytes) return picture_fail(d->file, "cut off");
    h->height = (int32_t)height;
    h->width = (int32_t)width;
    h->channels = type & PNG_COLOR_MASK_COLOR ? 3 : 1;
    h->alpha = type & PNG_COLOR_MASK_ALPHA || png_get_valid(d->png, d->info, PNG_INFO_tRNS);
    h->bits = png_get_bit_depth(d->png, d->info);
    return 0;
}

/* Asks libpng for 8 or 16 bits, without a palette, with alpha instead of a transparent colour. */
static int begin_pixels(png_decoder *d, const picture_header *h, const picture_options *o,
                        picture *out) {
    int32_t height, width;
    if (picture_target_size(d->file, h, o, &height, &width)) return 1;
    png_set_expand(d->png);
    const int passes = png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
    d->channels = png_get_channels(d->png, d->info);
    d->bits = png_get_bit_depth(d->png, d->info);
    d->row_bytes = png_get_rowbytes(d->png, d->info);
    d->to_channels = o->channels;
    const uint8_t *b = o->background;
    for (int c = 0; c < 3; c++)
        d->background[c] = o->channels == 3 ? b[c] : (uint8_t)picture_luma(b[0], b[1], b[2]);
    d->rows = malloc(d->row_bytes * (size_t)(passes > 1 ? h->height : 1));
    d->row = malloc((size_t)h->width * (size_t)d->to_channels);
    if (!d->rows || !d->row || scaler_begin(&d->scaler, out, h, height, width, o->channels, 1))
        return picture_fail(d->file, "out of memory");
    return 0;
}

static int read_pixels(png_decoder *d, const picture_header *h) {
    const int passes = png_get_interlace_type(d->png, d->info) == PNG_INTERLACE_NONE ? 1 : 7;
    for (int pass = 0; pass < passes; pass++) {
        for (int32_t y = 0; y < h->height; y++) {
            uint8_t *row = d->rows + (passes > 1 ? (size_t)y * d->row_bytes : 0);
            png_read_row(d->png, row, NULL);
            if (pass + 1 == passes) give_row(d, row, h->width);
        }
    }
    png_read_end(d->png, NULL);
    return 0;
}

static int decode(png_decoder *d, picture_header *h, const picture_options *o, picture *out) {
    d->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, on_error, on_warning);
    d->info = d->png ? png_create_info_struct(d->png) : NULL;
    if (!d->info) return picture_fail(d->file, "libpng cannot be used: out of memory");
    if (read_header(d, h)) return 1;
    if (!o) return 0;
    if (begin_pixels(d, h, o, out)) return 1;
    return read_pixels(d, h);
}

/* Returns here from an error within libpng. */
static int try_to_decode(png_decoder *d, picture_header *h, const picture_options *o,
                         picture *out) {
    if (setjmp(d->failed)) return 1;
    return decode(d, h, o, out);
}

int picture_decode_png(const picture_file *f, picture_header *header,
                       const picture_options *options, picture *out) {
    png_decoder *d = calloc(1, sizeof *d);
    if (!d) return picture_fail(f, "out of memory");
    d->file = f;
    const int bad = try_to_decode(d, header, options, out);
    png_destroy_read_struct(&d->png, &d->info, NULL);
    scaler_end(&d->scaler);
    free(d->rows);
    free(d->row);
    free(d);
    return bad;
}
