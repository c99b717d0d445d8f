#!/bin/sh
# Hangs with two children; the timeout ends all three.
echo "waiting for a report that never comes"
sleep 3600 &
sleep 3600 &
wait
