/* SPDX-License-Identifier: MIT */
/* What the page about a run shows: reduced curves against plain loops, selected grids, and files
 * that are missing or odd. */
#include <sys/stat.h>

#include "program/report_files.h"
#include "report/curves.h"
#include "report/grids.h"

static curves read_curves(const char *text) {
    char error[512] = "";
    curves c;
    const char *path = test_path(test_folder(), "loss.csv");
    write_text(path, text);
    ck_assert_msg(curves_read(&c, path, error, sizeof error) == 0, "%s", error);
    return c;
}

/* ---- curves ---- */

static double loss_at(size_t row) { return 1 + sin((double)(row * row % 1009)); }

static void write_rows(const char *path, size_t rows, size_t interval) {
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs("step,loss,other\n", file);
    for (size_t i = 0; i < rows; i++)
        fprintf(file, "%zu,%.17g,%s\n", 10 + i * interval, loss_at(i), i % 3 ? "" : "2.5");
    ck_assert_int_eq(fclose(file), 0);
}

/* One point by its definition: all rows again for each. */
static curve_point by_definition(size_t rows, size_t interval, size_t range, double window) {
    const double span = (double)((rows - 1) * interval + 1), keep = 1 - 1 / window;
    curve_point point = {.low = INFINITY, .high = -INFINITY};
    double sum = 0, weight = 0, total = 0;
    for (size_t i = 0; i < rows; i++) {
        const double value = loss_at(i);
        sum = keep * sum + (1 - keep) * value;
        weight += (1 - keep) * pow(keep, (double)i);
        if ((size_t)floor((double)(i * interval) / span * CURVE_POINTS) != range) continue;
        point.step = (double)(10 + i * interval);
        point.low = fmin(point.low, value);
        point.high = fmax(point.high, value);
        point.smooth = sum / weight;
        total += value;
        point.rows++;
    }
    point.mean = total / (double)point.rows;
    return point;
}

static void check_reduction(size_t rows, size_t interval, size_t every) {
    char error[512];
    curves c;
    const char *path = test_path(test_folder(), "loss.csv");
    write_rows(path, rows, interval);
    ck_assert_int_eq(curves_read(&c, path, error, sizeof error), 0);
    ck_assert_uint_eq(c.rows, rows);
    ck_assert(c.window == fmax(50, (double)rows / 100));
    const curve *loss = curves_find(&c, "loss"), *other = curves_find(&c, "other");
    ck_assert(loss && other);
    size_t found = 0;
    for (size_t range = 0; range < CURVE_POINTS; range += every) {
        const curve_point want = by_definition(rows, interval, range, c.window);
        if (!want.rows) continue;
        while (found < loss->count && loss->points[found].step < want.step) found++;
        ck_assert_uint_lt(found, loss->count);
        const curve_point got = loss->points[found];
        ck_assert(got.step == want.step && got.low == want.low && got.high == want.high);
        ck_assert_uint_eq(got.rows, want.rows);
        ck_assert_double_eq_tol(got.mean, want.mean, 1e-12);
        ck_assert_double_eq_tol(got.smooth, want.smooth, 1e-9);
    }
    for (size_t i = 0; i < other->count; i++)
        ck_assert(other->points[i].smooth > 2.4999 && other->points[i].smooth < 2.5001);
    curves_free(&c);
}

START_TEST(few_rows_are_points) {
    check_reduction(1, 1, 1);
    check_reduction(300, 7, 1);
}
END_TEST

START_TEST(many_rows_are_ranges) { check_reduction(50000, 3, 97); }
END_TEST

START_TEST(number_of_points) {
    char error[512];
    curves c;
    const char *path = test_path(test_folder(), "loss.csv");
    write_rows(path, 20001, 1);
    ck_assert_int_eq(curves_read(&c, path, error, sizeof error), 0);
    ck_assert_uint_eq(c.curve[0].count, CURVE_POINTS);
    uint64_t rows = 0;
    for (size_t i = 0; i < c.curve[0].count; i++) rows += c.curve[0].points[i].rows;
    ck_assert_uint_eq(rows, 20001);
    ck_assert(c.curve[0].points[CURVE_POINTS - 1].step == 20010);
    curves_free(&c);
}
END_TEST

START_TEST(odd_rows) {
    curves c = read_curves("step,loss,<b>,a name,q\r\n"
                           "\n,\n,,,\nx,1\nnan,1\ninf,1\n-1,1\n1e300,1\n"
                           "1,0.5,7,7,\r\n"
                           "2,nan,7,7\n"
                           "3,inf,7,7,1,9,9,9\n"
                           "4,-inf\n"
                           "5,1.5x,,,2\n"
                           "6, 2.5 ,,,3\n"
                           "7,9.5"); /* still being written */
    ck_assert_uint_eq(c.rows, 6);
    ck_assert(c.first == 1 && c.last == 6);
    const curve *loss = curves_find(&c, "loss"), *q = curves_find(&c, "q");
    ck_assert(loss && q && loss->count == 2 && q->count == 3);
    ck_assert(loss->points[0].mean == 0.5 && loss->points[1].mean == 2.5);
    ck_assert(q->points[0].step == 3 && q->points[2].mean == 3);
    for (size_t i = 0; i < c.count; i++) ck_assert_ptr_null(strchr(c.curve[i].name, '<'));
    ck_assert_ptr_null(curves_find(&c, ""));
    curves_free(&c);
}
END_TEST

START_TEST(odd_files) {
    static const char *const empty[] = {"", "step,loss\n", "step\n1\n2\n", "step,,\n1,2,3\n",
                                        "step,loss\n1,0.5"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        curves c = read_curves(empty[i]);
        ck_assert_ptr_null(curves_find(&c, "loss"));
        curves_free(&c);
    }
    char error[512], wide[4096] = "step", *folder = test_folder_new();
    curves c;
    for (int i = 0; i < 200; i++) sprintf(wide + strlen(wide), ",c%d", i);
    strcat(wide, "\n1,1,1\n");
    c = read_curves(wide);
    ck_assert_uint_eq(c.count, CURVES_MAX);
    curves_free(&c);
    /* A line that is too long is left out, and the next one is read. */
    memset(wide, '1', sizeof wide);
    memcpy(wide, "step,loss\n5,", 12);
    strcpy(wide + sizeof wide - 16, "\n6,7\n");
    c = read_curves(wide);
    ck_assert(c.rows == 1 && c.last == 6 && c.curve[0].points[0].mean == 7);
    curves_free(&c);
    ck_assert_int_eq(curves_read(&c, test_path(folder, "none"), error, sizeof error), 0);
    ck_assert_uint_eq(c.count, 0);
    ck_assert_int_eq(curves_read(&c, folder, error, sizeof error), 1);
    ck_assert_ptr_nonnull(strstr(error, folder));
    const char *path = test_path(folder, "x.csv");
    write_text(path, "1,0.5\n2,0.5\n");
    ck_assert_int_eq(curves_read(&c, path, error, sizeof error), 1);
    ck_assert(strstr(error, path) && strstr(error, "step"));
    free(folder);
}
END_TEST

/* ---- grids ---- */

START_TEST(selected_grids) {
    char error[512], *folder = test_folder_new();
    grids g;
    for (unsigned i = 1; i <= 100; i++) write_grid(folder, i * 500, 9);
    write_text(test_path(folder, "samples-000001.png"), "<script>");
    write_text(test_path(folder, "samples-.png"), "");
    write_text(test_path(folder, "samples-1.png.part"), "");
    ck_assert_int_eq(mkdir(test_path(folder, "samples-000002.png"), 0700), 0);
    ck_assert_int_eq(grids_find(&g, folder, error, sizeof error), 0);
    ck_assert_uint_eq(g.count, GRIDS_MAX);
    ck_assert_uint_eq(g.file[0].step, 500);
    ck_assert_uint_eq(g.file[GRIDS_MAX - 1].step, 50000);
    for (size_t i = 1; i < g.count; i++) {
        const uint64_t distance = g.file[i].step - g.file[i - 1].step;
        ck_assert(distance == 1000 || distance == 1500);
    }
    /* Large ones: fewer, with both ends; too large ones: none. */
    for (unsigned i = 1; i <= 12; i++) write_grid(folder, 100000 * i, 5 << 20);
    write_grid(folder, 1300000, (6 << 20) + 1);
    ck_assert_int_eq(grids_find(&g, folder, error, sizeof error), 0);
    ck_assert(g.count >= 2 && g.file[0].step == 500 && g.file[g.count - 1].step == 1200000);
    long long total = 0;
    for (size_t i = 0; i < g.count; i++) total += g.file[i].bytes;
    ck_assert(total <= 12 << 20);
    ck_assert_int_eq(grids_find(&g, test_path(folder, "none"), error, sizeof error), 0);
    ck_assert_uint_eq(g.count, 0);
    free(folder);
}
END_TEST

/* RFC 4648, section 10, behind the signature, whose 8 bytes are "iVBORw0KGg" and 4 bits. */
START_TEST(base64) {
    static const char *const want[] = {"iVBORw0KGgo=", "iVBORw0KGgpm",
                                       "iVBORw0KGgpmbw==", "iVBORw0KGgpmb28=", "iVBORw0KGgpmb29i"};
    char error[512], bytes[16], *folder = test_folder_new();
    const char *page = test_path(folder, "page"), *png = test_path(folder, "samples-1.png");
    grids g;
    memcpy(bytes, png_signature, 8);
    memcpy(bytes + 8, "foob", 5);
    for (size_t i = 0; i < 5; i++) {
        output o;
        write_file(png, bytes, 8 + i);
        ck_assert_int_eq(grids_find(&g, folder, error, sizeof error), 0);
        ck_assert_int_eq(output_open(&o, page, "w"), 0);
        ck_assert_int_eq(grid_print(&o, folder, &g.file[0], error, sizeof error), 0);
        ck_assert_int_eq(output_close(&o, "test"), 0);
        char *text = read_text(page);
        ck_assert_str_eq(text + strlen("data:image/png;base64,"), want[i]);
        free(text);
    }
    free(folder);
}
END_TEST

Suite *test_report_data_suite(void);
Suite *test_report_data_suite(void) {
    Suite *suite = suite_create("report_data");
    TCase *reading = tcase_create("curves"), *pictures = tcase_create("grids");
    tcase_add_test(reading, few_rows_are_points);
    tcase_add_test(reading, many_rows_are_ranges);
    tcase_add_test(reading, number_of_points);
    tcase_add_test(reading, odd_rows);
    tcase_add_test(reading, odd_files);
    tcase_add_test(pictures, selected_grids);
    tcase_add_test(pictures, base64);
    suite_add_tcase(suite, reading);
    suite_add_tcase(suite, pictures);
    return suite;
}
