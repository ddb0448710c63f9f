# SPDX-License-Identifier: MIT
# Turns layout and enumerators tables into a C file that compiles only if the header agrees with
# them: awk -f assertions.awk layout64.txt enumerators.txt
function end_struct() {
    if (owner != "") printf "_Static_assert(sizeof(%s) == %d, \"%s\");\n", owner, size, owner
}
BEGIN { print "#include <stddef.h>\n#include \"diffusion.h\"" }
$1 == "enumerator" { printf "_Static_assert(%s == %d, \"%s\");\n", $3, $4, $3; next }
$1 ~ /^dm_/ {
    if ($1 != owner) end_struct()
    owner = $1
    member = $1 "." $2
    printf "_Static_assert(offsetof(%s, %s) == %d, \"%s\");\n", $1, $2, $4, member
    printf "_Static_assert(sizeof(((%s *)0)->%s) == %d * %d, \"%s\");\n", $1, $2, $5, $6, member
    size = $4 + $5 * $6
}
END { end_struct() }
