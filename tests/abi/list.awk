# SPDX-License-Identifier: MIT
# Lists what diffusion_cdef.h declares, one declaration a line and without names of parameters:
#   function dm_unet_share dm_status (dm_unet **, dm_context *, const dm_unet *)
#   callback dm_train_callback int32_t (void *, const dm_train_stats *)
#   handle dm_unet
#   enumeration dm_solver
#   enumerator dm_solver DM_SOLVER_DDIM 1           ("-" where it belongs to no enumeration)
#   member dm_train_batch images const float *      (in order)

function trim(text) {
    gsub(/^ +| +$/, "", text)
    return text
}

# Splits at commas outside of parentheses.
function split_list(text, parts,    i, c, depth, n) {
    split("", parts)
    n = 1
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "(") depth++
        if (c == ")") depth--
        if (c == "," && !depth) n++
        else parts[n] = parts[n] c
    }
    return n
}

# The types of a list of parameters.
function types_of(text,    parts, n, i, out) {
    n = split_list(text, parts)
    for (i = 1; i <= n; i++) out = out (i > 1 ? ", " : "") type_of(parts[i])
    return out
}

# The type of a declaration, and its name in `name`.
function type_of(text,    at, end, result, params) {
    text = trim(text)
    if (text == "void") return text
    at = index(text, "(*")
    if (at) {
        end = index(substr(text, at), ")") + at - 1
        params = substr(text, end + 2, length(text) - end - 2)
        result = trim(substr(text, 1, at - 1)) " (*)(" types_of(params) ")"
        name = substr(text, at + 2, end - at - 2)
        return result
    }
    match(text, /[A-Za-z_0-9]+(\[[0-9]+\])?$/)
    name = substr(text, RSTART)
    result = trim(substr(text, 1, RSTART - 1))
    at = index(name, "[")
    if (at) {
        result = result substr(name, at)
        name = substr(name, 1, at - 1)
    }
    if (result == "") fail(text)
    return result
}

function fail(text) {
    print "list.awk: cannot read: " text > "/dev/stderr"
    failed = 1
    exit 1
}

# "int32_t height, width" declares two members; only plain types may be listed so.
function list_members(owner, body,    lines, n, i, k, m, parts, type) {
    n = split(body, lines, ";")
    for (i = 1; i < n; i++) {
        m = split_list(trim(lines[i]), parts)
        if (m > 1 && lines[i] ~ /[*\[]/) fail(lines[i])
        type = type_of(parts[1])
        for (k = 1; k <= m; k++) {
            if (k == 1) print "member " owner " " name " " type
            else print "member " owner " " trim(parts[k]) " " type
        }
    }
}

# Values are numbers, names of earlier enumerators, and sums and products of these.
function value_of(text,    parts, n, i, sum) {
    gsub(/[() ]/, "", text)
    n = split(text, parts, "+")
    for (i = 1; i <= n; i++) sum += product_of(parts[i])
    return sum
}
function product_of(text,    parts, n, i, product) {
    n = split(text, parts, "*")
    product = 1
    for (i = 1; i <= n; i++) {
        if (parts[i] ~ /^-?[0-9]+$/) product *= parts[i]
        else if (parts[i] in value) product *= value[parts[i]]
        else fail(text)
    }
    return product
}

function list_enumerators(owner, body,    parts, n, i, words) {
    n = split_list(body, parts)
    for (i = 1; i <= n; i++) {
        if (split(parts[i], words, "=") != 2) fail(parts[i])
        name = trim(words[1])
        value[name] = value_of(words[2])
        print "enumerator " owner " " name " " value[name]
    }
}

function list(text,    body, at, words, last) {
    body = text
    last = enumeration
    enumeration = "-"
    if (text ~ /^enum \{/) {
        sub(/^enum \{/, "", body)
        sub(/\}$/, "", body)
        list_enumerators(last, body)
    } else if (text ~ /^typedef struct [a-z0-9_]+ \{/) {
        split(text, words, " ")
        sub(/^[^{]*\{/, "", body)
        sub(/\}[^}]*$/, "", body)
        list_members(words[3], body)
    } else if (text ~ /^typedef struct/) {
        split(text, words, " ")
        print "handle " words[3]
    } else if (text ~ /^typedef .*\(\*/) {
        sub(/^typedef /, "", body)
        body = type_of(body)
        sub(/ \(\*\)/, " ", body)
        print "callback " name " " body
    } else if (text ~ /^typedef int32_t [a-z0-9_]+$/) {
        split(text, words, " ")
        enumeration = words[3]
        print "enumeration " enumeration
    } else if (text ~ /\)$/) {
        at = index(text, "(")
        body = substr(text, at + 1, length(text) - at - 1)
        last = type_of(substr(text, 1, at - 1))
        text = name
        print "function " text " " last " (" types_of(body) ")"
    } else fail(text)
}

BEGIN { enumeration = "-" }
{ text = text " " $0 }
END {
    if (failed) exit 1
    gsub(/[ \t]+/, " ", text)
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "{") depth++
        if (c == "}") depth--
        if (c == ";" && !depth) {
            list(trim(declaration))
            declaration = ""
        } else declaration = declaration c
    }
    if (trim(declaration) != "") fail(declaration)
}
