#!/usr/bin/env bash
# Checks what README.md, CONTRIBUTING.md and CHANGELOG.md say against the tree: the first program is examples/first.c
# to the letter, every test named exists, every file named exists.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
complain() {
    echo "$*"
    failed=1
}

# The first C block of the README.
if ! diff <(awk '/^```c$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' README.md) examples/first.c; then
    complain "README.md: the first program differs from examples/first.c (right)"
fi

# `suite/name`: tests are written so, and so only.
tests=0
while read -r suite name; do
    tests=$((tests + 1))
    git grep -qE "^(ENGINE_)?TEST\($suite, $name\)" -- tests ||
        complain "README.md names the test $suite/$name: there is no TEST($suite, $name) in tests/"
done < <(sed -n '/^## Promises/,/^## /p' README.md | grep -oE '`[a-z0-9_]+/[a-z0-9_]+`' | tr -d '`' | tr / ' ')
[ $tests -gt 0 ] || complain "README.md: no test is named under Promises"

# `folder/file` in any of the three, where the folder is one of the tree's; braces, brackets and stars are patterns.
files=0
while read -r path; do
    files=$((files + 1))
    compgen -G "$path" >/dev/null || complain "$path is named, but does not exist"
done < <(cat README.md CONTRIBUTING.md CHANGELOG.md |
    grep -oE '`(\.ci|bench|cmake|examples|include|python|scripts|src|tests)/[][A-Za-z0-9_./*-]*' | tr -d '`' | sort -u |
    grep -v NAME)
[ $files -gt 0 ] || complain "no file of the tree is named"

[ $failed = 0 ] || exit 1
echo "the first program, $tests tests and $files files passed"
