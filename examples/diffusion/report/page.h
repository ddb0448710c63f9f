/* SPDX-License-Identifier: MIT */
/* The texts of page.html, page.css, page_curves.js and page.js, made into C by embed.sh. In
 * report_page_html, each
 * {{name}} stands for a part that report.c writes. */
#ifndef DIFFUSION_REPORT_PAGE_H
#define DIFFUSION_REPORT_PAGE_H

extern const char report_page_html[];
extern const char report_page_css[];
extern const char report_page_curves_js[]; /* the script is this and then page.js */
extern const char report_page_js[];

#endif
