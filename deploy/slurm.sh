#!/bin/sh
# Sweeps on a Slurm cluster: an array job with a task for each shard, and a job that merges what they found.
#
#   deploy/slurm.sh SEEDS SHARDS DIR [sbatch options...]       as in: deploy/slurm.sh 0..100000 64 ~/sweep --cpus-per-task=4
#
# `sim` must be in the PATH, and DIR on a file system that all machines share. Waits for the end; the exit code is that
# of the whole sweep.
set -eu
seeds=$1 shards=$2 dir=$3
shift 3
mkdir -p "$dir"
cd "$dir"

array=$(sbatch --parsable --job-name=sweep --array="1-$shards" --output=shard-%a.log "$@" <<END
#!/bin/sh
exec sim sweep --seeds $seeds --shard "\$SLURM_ARRAY_TASK_ID/$shards" --jobs "\${SLURM_CPUS_PER_TASK:-1}" --out "shard-\$SLURM_ARRAY_TASK_ID.json"
END
)
code=0
sbatch --wait --job-name=sweep-merge --dependency="afterany:${array%%;*}" --output=merge.log <<'END' || code=$?
#!/bin/sh
exec sim merge shard-*.json --out sweep.json --junit junit.xml
END
cat merge.log
exit "$code"
