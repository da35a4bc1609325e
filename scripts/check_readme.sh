#!/usr/bin/env bash
# Checks the documentation against the tree: README.md, CONTRIBUTING.md, TESTING.md, SECURITY.md, CHANGELOG.md, docs/ and
# the pages of the emulator and of apps/g2p.
#   files      every file and link that is named exists
#   tests      every test that is named exists, and every name of the glossary
#   programs   the README's first program is examples/first.c; the other C blocks compile
#   commands   every ```sh block is run by scripts/check_commands.sh, every ```sh ci block by .ci/run or a script
#   tables     tables of measurements are those of recorded runs
#   prose      no sentence over 25 words; README at most 170 lines, CONTRIBUTING at most 6 KB
# usage: scripts/check_readme.sh
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
complain() {
    echo "$*"
    failed=1
}

mapfile -t pages < <(git ls-files README.md CONTRIBUTING.md TESTING.md SECURITY.md 'docs/*.md' apps/g2p/README.md emulator/README.md)
mapfile -t folders < <(git ls-files | sed -nE 's|^([^/]+)/.*|\1|p' | sort -u)
is_folder() { # NAME: a folder at the top of the tree
    [[ " ${folders[*]} " == *" $1 "* ]]
}

# Words in backticks, one a line: code spans of the pages, without their blocks.
code_spans() { # FILE...
    awk '/^[[:space:]]*```/ { inside = !inside; next } !inside' "$@" | grep -oE '`[^`]+`' | tr -d '`' | sort -u
}

# The lines of all ``` blocks whose fence says LANGUAGE.
blocks() { # LANGUAGE FILE...
    local language=$1
    shift
    awk -v fence="\`\`\`$language" '/^```/ { inside = !inside && $0 == fence; if (!inside) print ""; next } inside' "$@"
}

files=0
while read -r path; do
    is_folder "${path%%/*}" || continue
    [[ $path != *NAME* ]] || continue
    [[ ! $path =~ ^[a-z0-9_]+/[a-z0-9_]+$ ]] || ! git grep -qE "^(ENGINE_)?TEST\(${path%%/*}, ${path##*/}\)" -- tests || continue
    files=$((files + 1))
    compgen -G "$path" >/dev/null || complain "$path is named, but does not exist"
done < <(code_spans "${pages[@]}" CHANGELOG.md | grep -E '^[][{}A-Za-z0-9_./*-]+/[][{}A-Za-z0-9_./*-]*$')
[ $files -gt 0 ] || complain "no file of the tree is named"

links=0
for page in "${pages[@]}"; do
    while read -r target; do
        links=$((links + 1))
        [ -e "$(dirname "$page")/$target" ] || complain "$page links to $target, which does not exist"
    done < <(grep -oE '\]\([^)#]+' "$page" | cut -c 3- | grep -v '^https\?:' || true)
done
[ $links -gt 0 ] || complain "no page has a link"

# `suite/name` is a test wherever it stands; in guarantees.md `name` alone is one of CMake's.
tests=0
while IFS=/ read -r suite name; do
    is_folder "$suite" && continue
    tests=$((tests + 1))
    git grep -qE "^(ENGINE_)?TEST\($suite, $name\)" -- tests ||
        complain "the test $suite/$name is named: there is no TEST($suite, $name) in tests/"
done < <(code_spans "${pages[@]}" | grep -xE '[a-z0-9_]+/[a-z0-9_]+')
mapfile -t added < <(git grep -hoE 'add_test\(NAME [^ )]+' -- '*CMakeLists.txt' '*.cmake' | sed -E 's/.* //; s/\$\{[^}]*\}/[a-z0-9]+/g')
while read -r name; do
    tests=$((tests + 1))
    grep -qxE "$(IFS='|' && echo "${added[*]}")" <<<"$name" || complain "docs/guarantees.md names the test $name: no add_test has it"
done < <(grep '^|' docs/guarantees.md | sed 's/.*|\([^|]*\)|[[:space:]]*$/\1/' | grep -oE '`[a-z0-9_]+`' | tr -d '`' | sort -u)
[ $tests -gt 0 ] || complain "no test is named"

names=0
while read -r name; do
    names=$((names + 1))
    git grep -qwF -e "$name" -- . ':!docs' ':!*.md' || complain "docs/glossary.md names $name, which is nowhere in the tree"
done < <(code_spans docs/glossary.md | grep -v /)
[ $names -gt 0 ] || complain "docs/glossary.md names nothing of the tree"

if ! diff <(awk '/^```c$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' README.md) examples/first.c; then
    complain "README.md: the first program differs from examples/first.c (right)"
fi

# Every other block is the inside of a function in which a context, the sizes and two buffers are there.
fragments=0
for page in "${pages[@]}"; do
    while read -r number; do
        fragment=$(awk -v wanted="$number" '/^```c$/ { if (++n == wanted) { inside = 1; next } } /^```$/ { inside = 0 } inside' "$page")
        [[ $fragment != *"int main"* ]] || continue
        fragments=$((fragments + 1))
        printf '%s\n' '#include <gru/import.h>' '#include <gru/stream.h>' 'void check(gru_status status);' \
            'void fragment(gru_context *context, int64_t T, int64_t N, const float *x, float *y);' \
            'void fragment(gru_context *context, int64_t T, int64_t N, const float *x, float *y) {' \
            '(void)context, (void)T, (void)N, (void)x, (void)y;' "$fragment" '}' |
            "${CC:-cc}" -std=c11 -Iinclude -Wall -Wextra -Werror -fsyntax-only -x c - || complain "$page: C block $number does not compile"
    done < <(seq "$(grep -c '^```c$' "$page")")
done

mapfile -t runners < <(git ls-files .ci/run .github/workflows 'scripts/*.sh')
commands=0
for page in "${pages[@]}"; do
    while IFS= read -r line; do
        read -r program _ <<<"$line"
        [ -n "$program" ] || continue
        commands=$((commands + 1))
        [ "$program" = .ci/run ] || grep -qF -- "$program" "${runners[@]}" || complain "$page: \"$line\" is run neither by .ci/run nor by a workflow or script"
    done < <(blocks 'sh ci' "$page")
    if grep -nE '^```(sh|bash|console)( |$)' "$page" | grep -vE '```sh( ci)?$'; then
        complain "$page: commands are \`\`\`sh, or \`\`\`sh ci"
    fi
done
grep -qE '^ *stage [a-z-]+ scripts/check_commands\.sh' .ci/run || complain ".ci/run does not run scripts/check_commands.sh"

prose() { # FILE...: sentences over 25 words. A code span or a link's address is one word; table cells and list items stand alone.
    awk '
        function finish(    i, n, parts, words, count, w, k) {
            gsub(/`[^`]*`/, "CODE", text)
            gsub(/!?\[[^]]*\]\([^)]*\)/, "LINK &", text)
            gsub(/\]\([^)]*\)/, "", text)
            n = split(text, parts, /[.!?]["”)*]*([[:space:]]+|$)/)
            for (i = 1; i <= n; i++) {
                w = split(parts[i], words, /[[:space:]]+/); count = 0
                for (k = 1; k <= w; k++) if (words[k] ~ /[A-Za-z0-9]/ && words[k] != "LINK") count++
                if (count > 25) { printf "%s:%d: %d words: %s\n", FILENAME, start, count, substr(parts[i], 1, 90); bad = 1 }
                total += count > 0
            }
            text = ""
        }
        FNR == 1 { inside = comment = 0 }
        /^[[:space:]]*```/ { finish(); inside = !inside; next }
        inside { next }
        /^<!--/ { comment = 1 }
        comment { if (/-->/) comment = 0; next }
        /^#/ || /^[[:space:]]*$/ { finish(); next }
        /^\|/ { finish(); start = FNR; cells = split($0, cell, "|"); for (c = 1; c <= cells; c++) { text = cell[c]; finish() } next }
        /^[[:space:]]*([-*]|[0-9]+\.)[[:space:]]/ { finish(); sub(/^[[:space:]]*([-*]|[0-9]+\.)[[:space:]]+/, "") }
        { if (text == "") start = FNR; text = text " " $0 }
        END { finish(); if (total == 0) { print "no sentence found"; bad = 1 } exit bad }' "$@"
}
for page in "${pages[@]}"; do prose "$page" || failed=1; done
bench/table --check README.md docs/performance.md || failed=1
[ "$(wc -l <README.md)" -le 170 ] || complain "README.md has $(wc -l <README.md) lines, limit 170"
[ "$(wc -c <CONTRIBUTING.md)" -le 6144 ] || complain "CONTRIBUTING.md has $(wc -c <CONTRIBUTING.md) bytes, limit 6144"

[ $failed = 0 ] || exit 1
echo "${#pages[@]} pages: the first program, $fragments fragments, $commands commands, $tests tests, $files files and $links links passed"
