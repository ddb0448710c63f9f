/* SPDX-License-Identifier: MIT */
/* Trains with the page's functions and prints losses and images, as steps.js does in WebAssembly.
 * steps STEPS: one number a line, with all its digits. */
#include "../../examples/web/diffusion_web.h"

#include <stdio.h>
#include <stdlib.h>

static int check(int result) {
    if (result >= 0) return result;
    fprintf(stderr, "%s\n", web_error());
    exit(1);
}

int main(int argc, char **argv) {
    const int steps = argc > 1 ? atoi(argv[1]) : 1;
    check(web_begin(1, 0.002));
    for (int step = 0; step < steps; step++) {
        check(web_train_step());
        printf("%.17g\n", web_loss());
    }
    check(web_sample_begin("dpmpp", 10, 1.5, 7));
    while (check(web_sample_step()) > 0) continue;
    const int count = web_image_count() * web_image_size() * web_image_size() * 3;
    for (int i = 0; i < count; i++) printf("%.17g\n", (double)web_images()[i]);
    web_end();
    return 0;
}
