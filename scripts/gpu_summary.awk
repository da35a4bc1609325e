# gpu_summary.awk: says of a log and of the benchmark's lines how many tests passed and failed, and in each cell how many times
# faster the fastest engine is than the fastest row of cuDNN and of PyTorch.
#
# usage: awk -f scripts/gpu_summary.awk LOG.txt ROWS.json        the files that scripts/gpu_check.sh writes

# The value of a line's field, without quotes; "" if it has none.
function field(name,    value) {
    if (!match($0, "\"" name "\": (\"[^\"]*\"|[^,}]*)")) return ""
    value = substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 4)
    gsub(/"/, "", value)
    return value
}

# "-- NAME" begins what a program said, "-- NAME ended with status S" ends it.
/^-- / && NF == 2 { told = 0 }
/^Tested: / { passed += $4; failed += $6; skipped += $8; told = 1 }
/^FAIL / && failures++ < 10 { failure[failures] = $0 }
/^-- .* ended with status / && $NF != 0 {
    if (!told) failed++
    broken = broken " " $2 ($NF == 124 ? " (cut)" : told ? "" : " (died, status " $NF ")")
}

/^\{"name"/ && field("device") == "gpu" {
    who = field("kind") == "engine" ? "ours" : field("name") ~ /^PyTorch/ ? "PyTorch" : "cuDNN"
    cell = sprintf("%-11s %-5s %4d %4d %5d %5d", field("stage"), field("type"), field("T"), field("N"), field("I"), field("H"))
    step = field("us_per_step") + 0
    if (!(cell in known)) { known[cell]; order[++cells] = cell }
    if (!((cell, who) in best) || step < best[cell, who]) { best[cell, who] = step; by[cell, who] = field("name") }
}
/"kind": "gpu_probe"/ { probed++; if (/"wrong": /) wrong++ }

function microseconds(cell, who) { return (cell, who) in best ? sprintf("%.2f", best[cell, who]) : "-" }
function times(cell, who) {
    return (cell, who) in best && (cell, "ours") in best ? sprintf("%.2fx", best[cell, who] / best[cell, "ours"]) : "-"
}
END {
    if (probed) printf "the GPU itself: %d measurements, %d wrong\n", probed, wrong
    for (i = 1; i <= failures && i <= 10; i++) print failure[i]
    if (failures > 10) printf "and %d more failed checks in log.txt\n", failures - 10
    printf "tests: passed %d, failed %d, skipped %d%s\n", passed, failed, skipped, broken ? "; failed:" broken : ""
    if (!cells) exit
    print "the fastest row of each, microseconds per step, and how many times faster this library is:"
    printf "%-11s %-5s %4s %4s %5s %5s %8s %8s %8s %8s %8s  %s\n", "stage", "type", "T", "N", "I", "H", "ours", "cuDNN", "times",
        "PyTorch", "times", "ours, cuDNN's"
    for (i = 1; i <= cells; i++) {
        cell = order[i]
        printf "%s %8s %8s %8s %8s %8s  %s, %s\n", cell, microseconds(cell, "ours"), microseconds(cell, "cuDNN"), times(cell, "cuDNN"),
            microseconds(cell, "PyTorch"), times(cell, "PyTorch"), by[cell, "ours"], by[cell, "cuDNN"]
    }
}
