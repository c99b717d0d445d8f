echo "A part of the nightly pipeline failed in run $RUN_ID; somebody should look."
