# SPDX-License-Identifier: MIT
# Turns the comments of diffusion.h into those that Doxygen reads: a comment before a declaration, one
# behind a member, and a section, which becomes a group. An enumeration takes the name of its typedef.

# Markdown must not take these for markup.
function escape(text) {
    gsub(/\*/, "\\*", text)
    gsub(/</, "\\<", text)
    gsub(/#/, "\\#", text)
    # A point after these does not end the first sentence, which becomes the summary.
    gsub(/ al\. /, " al.\\ ", text)
    sub(/ al\.$/, " al.\\ ", text)
    gsub(/eq\. /, "eq.\\ ", text)
    gsub(/sec\. /, "sec.\\ ", text)
    return text
}
# The part of a comment's line before its end, and what follows from "*/" on.
function emit(prefix, text,    at) {
    at = index(text, "*/")
    in_comment = !at
    if (at) print prefix escape(substr(text, 1, at - 1)) " " substr(text, at)
    else print prefix escape(text)
}
function open_group(line,    title, name) {
    title = line
    sub(/^\/\* ---- /, "", title)
    sub(/ -+(\*\/)?$/, "", title)
    name = tolower(title)
    gsub(/[^a-z]/, "", name)
    name = "dm_" (name in names ? names[name] : name)
    if (in_group) print "/** \\} */"
    in_group = 1
    print "/** \\defgroup " name " " title
    if (line ~ /\*\/$/) print " * \\{ */"
    else in_section = in_comment = 1
}
BEGIN { names["structsandenumerationsbyname"] = "struct"; names["versionandstatus"] = "status" }

# Inside a comment.
in_comment {
    line = $0
    sub(/^ *\*? ?/, "", line)
    if (line ~ /^\/$/) line = "*/"
    if (!in_section) { emit(" * ", line); next }
    at = index(line, "*/")
    if (!at) { print " * " escape(line); next }
    print " * " escape(substr(line, 1, at - 1))
    print " * \\{ */"
    in_section = in_comment = 0
    next
}
NR == 1 { next } # the licence
NR == 2 { print "/** \\mainpage"; print " * libdiffusion"; in_comment = 1; next }
/^\/\* ---- / { open_group($0); next }
/^typedef int32_t dm_[a-z_]*;/ {
    name = $3
    sub(/;.*/, "", name)
    if ((getline following) > 0) {
        if (following ~ /^enum \{/) sub(/^enum/, "enum " name, following)
        else print
        $0 = following
    }
}
# Before a declaration. In a struct, a short one after an empty line is a heading of members.
/^ *\/\*/ {
    heading = $0 ~ /^ / && blank && split($0, words, " ") <= 9
    blank = 0
    at = index($0, "/*")
    emit(substr($0, 1, at) (heading ? "* " : "** "), substr($0, at + 3))
    next
}
# Behind a member or value; behind others, as on an #endif, it stays.
/\/\*/ && !/^#/ {
    at = index($0, "/*")
    code = substr($0, 1, at - 1)
    if (code ~ /[;,{] *$/ || code ~ /^ +[A-Z0-9_]+ = -?[0-9]+ *$/ ) {
        emit(code "/**< ", substr($0, at + 3))
        next
    }
}
/^#ifdef __cplusplus/ { in_cplusplus = 1 }
/^#endif \/\*|^#endif$/ && !in_cplusplus && in_group && FNR > 1000 { print "/** \\} */"; in_group = 0 }
/^#endif/ { in_cplusplus = 0 }
{ blank = /^ *$/; print }
