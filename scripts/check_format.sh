#!/usr/bin/env bash
# Checks the form of every C file: clang-format, columns, lines per file, lines per function.
# The public headers are tables laid out by hand: only their columns are checked.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
complain() {
    echo "$*"
    failed=1
}

formatter=${CLANG_FORMAT:-$(command -v clang-format-14 || command -v clang-format || true)}
if [ -z "$formatter" ]; then
    echo "clang-format is missing (Debian: clang-format-14)"
    exit 1
fi
mapfile -t headers < <(git ls-files 'include/*.h' 'include/*.hpp')
mapfile -t sources < <(git ls-files 'src/*.[ch]' 'src/*.inl' 'src/*.cu' 'src/*.cuh' 'tests/*.[ch]' 'tests/*.cpp' 'tests/*.cu' 'emulator/*.h' 'emulator/*.cpp' 'emulator/*.cu' \
    'bench/*.[ch]' 'bench/*.cu' 'bench/*.cuh' 'examples/*.[ch]' 'apps/*.[ch]' 'python/*.[ch]' 'python/*.cpp')
mapfile -t scripts < <(git ls-files '*.sh' '*.py' .ci/run bench/plot bench/record)

"$formatter" --style=file --dry-run -Werror "${sources[@]}" || failed=1

columns() { # LIMIT FILE...
    local limit=$1
    shift
    awk -v limit="$limit" 'length($0) > limit { printf "%s:%d: %d columns, limit %d\n", FILENAME, FNR, length($0), limit; bad = 1 }
                           END { exit bad }' "$@" || failed=1
}
columns 120 "${headers[@]}"

for file in "${headers[@]}" "${sources[@]}" "${scripts[@]}"; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 500 ] || complain "$file: $lines lines, limit 500"
done

# A function of the library begins on a line that starts at the margin and ends with {, and ends with a } at the margin.
mapfile -t functions < <(printf '%s\n' "${sources[@]}" | grep '^src/')
awk 'FNR == 1 { start = 0 }
     /^[a-z].*\) \{$/ || /^    [a-z].*\) \{$/ && !start && previous ~ /^[a-z].*,$/ { start = FNR }
     /^}/ { if (start && FNR - start + 1 > 60) {
                printf "%s:%d: a function of %d lines, limit 60\n", FILENAME, start, FNR - start + 1; bad = 1 }
            start = 0 }
     { previous = $0 }
     END { exit bad }' "${functions[@]}" || failed=1

[ $failed = 0 ] || exit 1
echo "${#sources[@]} sources and ${#headers[@]} headers passed"
