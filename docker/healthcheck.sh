#!/bin/sh
# Healthy: every run that a process of this container trains has written something in the last HEALTH_MINUTES (30).
# A training process holds the `lock` of its run folder open, and writes to it as long as it makes steps.
readlink /proc/[0-9]*/fd/* 2>/dev/null | grep '/lock$' | sort -u | while read -r lock; do
    run=${lock%/lock}
    if [ -z "$(find "$run" -type f -mmin "-${HEALTH_MINUTES:-30}" | head -n 1)" ]; then
        echo "$run: nothing was written in the last ${HEALTH_MINUTES:-30} minutes"
        exit 1
    fi
done
