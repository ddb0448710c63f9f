# SPDX-License-Identifier: MIT
# Chooses inputs from the control file of a merge with libFuzzer: greedily those that add most new
# features, after those of the seeds; at most `most` inputs and `bytes` bytes. Prints their paths.
#
# Lines of the file: the number of inputs, the number of the first ones that are kept anyway, the
# paths, then "STARTED n size", "FT n feature ..." and "COV n ..." of each.
NR == 1 { inputs = $1; next }
NR == 2 { next }
NR <= 2 + inputs { path[NR - 3] = $0; next }
$1 == "STARTED" { size[$2] = $3 }
$1 == "FT" { features[$2] = $0 }
function add(n,    i, count, part) {
    count = split(features[n], part, " ")
    for (i = 3; i <= count; i++) reached[part[i]] = 1
}
function gain(n,    i, count, part, new) {
    count = split(features[n], part, " ")
    for (i = 3; i <= count; i++) if (!(part[i] in reached)) new++
    return new + 0
}
END {
    for (n = 0; n < inputs; n++) {
        if (path[n] ~ /\/seed_[^\/]*$/) { add(n); delete features[n] }
    }
    while (chosen < most) {
        best = -1; value = 0
        for (n in features) {
            if (size[n] > bytes) continue
            g = gain(n)
            # Of two that add the same, the smaller one.
            if (g > value || (g == value && g > 0 && size[n] < size[best])) { best = n; value = g }
            if (g == 0) delete features[n]
        }
        if (value == 0) break
        print path[best]
        add(best)
        bytes -= size[best]
        delete features[best]
        chosen++
    }
}
