# shellcheck shell=bash
# gpu_parts.sh: runs parts of a check, each within its limit, and keeps what they said. scripts/gpu_check.sh sources it.
#
#     begin_parts OUT SECONDS
#     part NAME SHARE FUNCTION ARGUMENT...      FUNCTION calls run, run_within and run_beside
#
# Reads: only (",NAME,.." or empty: all), dry (not empty: print, run nothing).

results=()    # "ok      12 s  NAME  LAST LINE"
deadline=0    # of the running part

begin_parts() { # OUT SECONDS
    out=$1 whole=$2
    end=$((SECONDS + whole - whole / 20))    # the rest for the script itself
    [ -z "$dry" ] || return 0
    scratch=$(mktemp -d)
    trap end_parts EXIT
    mkdir -p "$out" && rm -f "$out"/{summary.txt,log.txt,rows.json} && touch "$out/rows.json" "$scratch/running"
}

# Ends what still runs, also where the script itself is stopped.
end_parts() {
    local group
    while read -r group; do kill -KILL -- "-$group" 2>/dev/null; done <"$scratch/running"
    rm -rf "$scratch"
}

# cut_off SECONDS COMMAND...: its status, or 124 where it took longer. A program that a kill does not end, because it hangs in
# the driver, is left behind.
cut_off() {
    local limit=$((SECONDS + $1)) group tries
    shift
    setsid "$@" &
    group=$!
    echo $group >>"$scratch/running"
    while kill -0 $group 2>/dev/null; do
        if [ $SECONDS -ge $limit ]; then
            kill -TERM -- -$group 2>/dev/null
            for ((tries = 0; tries < 20; tries++)); do kill -0 $group 2>/dev/null && sleep 0.1; done
            kill -KILL -- -$group 2>/dev/null
            echo "CUT: $*"
            return 124
        fi
        sleep 0.1
    done
    wait $group
}

# run COMMAND...: until the part's deadline.
run() { run_within $((deadline - SECONDS)) "$@"; }

# run_within SECONDS COMMAND...: at most so long, and not beyond the deadline.
run_within() {
    local limit=$1
    shift
    if [ -n "$dry" ]; then
        printf '   '
        printf ' %q' "$@"
        printf '\n'
        return 0
    fi
    [ "$limit" -le $((deadline - SECONDS)) ] || limit=$((deadline - SECONDS))
    [ "$limit" -gt 0 ] || { echo "CUT: no time is left for $*" && return 124; }
    cut_off "$limit" "$@"
}

# run_beside COUNT PROGRAM...: COUNT programs at a time. Prints what each said, one after the other, with its status as the last
# line; 124 if one was cut, else 1 if one failed.
run_beside() {
    local count=$1 program name status worst=0
    shift
    for program in "$@"; do
        name=${program##*/}
        if [ -n "$dry" ]; then
            run "$program"
            continue
        fi
        while [ "$(jobs -rp | wc -l)" -ge "$count" ]; do wait -n; done
        { run "$program" >"$scratch/$name.txt" 2>&1; echo $? >"$scratch/$name.status"; } &
    done
    [ -z "$dry" ] || return 0
    wait
    for program in "$@"; do
        name=${program##*/}
        status=$(cat "$scratch/$name.status")
        echo "-- $name"
        cat "$scratch/$name.txt"
        echo "-- $name ended with status $status"
        if [ "$status" = 124 ]; then worst=124; elif [ "$status" != 0 ] && [ $worst = 0 ]; then worst=1; fi
    done
    return $worst
}

# part NAME SHARE FUNCTION ARGUMENT...: SHARE in percent of all seconds, less where less is left. Status 77 of the function: there is
# nothing to run here. The last line that it prints says what it did. After each part a function named summary writes the
# summary.
part() {
    local name=$1 limit=$(($2 * whole / 100)) start=$SECONDS status word last
    shift 2
    [ -z "$only" ] || [[ $only == *,$name,* ]] || return 0
    [ "$limit" -le $((end - SECONDS)) ] || limit=$((end - SECONDS))
    if [ -n "$dry" ]; then
        echo "$name, $limit s at most:"
        "$@"
        return 0
    fi
    echo "== $name, $limit s at most"
    deadline=$((SECONDS + limit))
    "$@" >"$scratch/part" 2>&1
    status=$?
    last=$(grep -v '^[[:space:]]*$' "$scratch/part" | tail -n 1 | cut -c 1-120)
    { echo "== $name" && cat "$scratch/part"; } >>"$out/log.txt"
    case $status in
    0) word=ok ;;
    77) word=skipped ;;
    124) word=CUT ;;
    *) word=FAILED ;;
    esac
    [ $word = ok ] || tail -n 20 "$scratch/part"
    results+=("$(printf '%-8s %4d s  %-12s %s' $word $((SECONDS - start)) "$name" "$last")")
    summary >"$out/summary.txt"
    return $status
}
