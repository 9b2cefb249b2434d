#!/usr/bin/env bash
# Answers every message of a file, in a job of a scheduler or of CI that may be stopped and started again.
#
#   batch.sh ORGANISM.YAML MESSAGES.jsonl ANSWERS.jsonl
#
# Exit code 0: all are answered. 1: some could not be; they are listed. Anything else: see docs/exit-codes.md.
set -euo pipefail
organism=$1 messages=$2 answers=$3

xpipe check --quiet "$organism"

# Unfinished work of an earlier job comes first; then reading of the file continues.
code=0
xpipe run "$organism" --resume --input "$messages" --timeout 10m --jsonl --quiet >> "$answers" || code=$?

case $code in
0) ;;
1) # It finished with failures: the answers contain faults, and dead letters keep the messages.
    xpipe dead list "$organism" --jsonl >&2
    ;;
5) echo "timed out; the next job continues" >&2 ;;
*) exit "$code" ;;
esac

# The output for programs has a schema: `xpipe schema output outputs --jsonl`.
xpipe outputs "$organism" --jsonl | python3 -c '
import json, sys
kinds = [json.loads(line)["kind"] for line in sys.stdin]
print(len(kinds), "answers,", kinds.count("fault"), "of them faults")
'
exit "$code"
