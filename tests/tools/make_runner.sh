#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints the main program of the tests, which runs the suite of every test_X named.
# make_runner.sh test_X...
set -eu
echo '/* Written by tests/tools/make_runner.sh. */'
echo '#include <check.h>'
echo '#include <stdlib.h>'
for test in "$@"; do echo "Suite *${test}_suite(void);"; done
echo 'int main(void) {'
echo '    SRunner *runner = srunner_create(suite_create("libdiffusion"));'
for test in "$@"; do echo "    srunner_add_suite(runner, ${test}_suite());"; done
cat <<'END'
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
END
