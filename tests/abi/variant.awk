# SPDX-License-Identifier: MIT
# Changes the structs of diffusion_cdef.h as an older or a newer version would have them:
#   awk -f variant.awk -v remove=2 ...   without the last two members, except in structs whose last
#                                        members a caller must set
#   awk -f variant.awk -v add=1 ...      with one member appended
BEGIN {
    print "#include <stddef.h>\n#include <stdint.h>"
    list = "dataset_memory dataset_callback dataset_item denoiser image_grid_options"
    n = split(list, names, " ")
    for (i = 1; i <= n; i++) required["dm_" names[i]] = 1
}
/^typedef struct .*\{$/ {
    print
    body = ""
    while ((getline line) > 0 && line !~ /^\}/) body = body line "\n"
    n = split(body, members, ";") - 1
    owner = line
    gsub(/[}; ]/, "", owner)
    if (!(owner in required)) n -= remove
    for (i = 1; i <= n; i++) printf "%s;", members[i]
    print add ? "\n    int32_t added[2];" : ""
    print line
    next
}
{ print }
