#!/usr/bin/env bash
# Builds the API reference of the public headers with Doxygen; any warning is an error: an undocumented function or
# field, a wrong reference.
# usage: scripts/check_api_docs.sh [FOLDER]      FOLDER: where html/ is written, default build/api
set -euo pipefail
cd "$(dirname "$0")/.."
command -v doxygen >/dev/null || { echo "doxygen is missing (Debian: doxygen)"; exit 77; }
folder=${1:-build/api}
mkdir -p "$folder"
version=$(sed -nE 's/^#define GRU_VERSION_(MAJOR|MINOR|PATCH) ([0-9]+).*/\2/p' include/gru/gru.h | paste -sd .)
sed -e "s#@PROJECT_SOURCE_DIR@#$PWD#; s#@OUTPUT@#$folder#; s#@PROJECT_VERSION@#$version#" docs/Doxyfile.in >"$folder/Doxyfile"
doxygen "$folder/Doxyfile"
echo "$(find "$folder/html" -name 'struct*.html' | wc -l) structs and their functions are documented: $folder/html/index.html"
