#!/bin/sh
# A zombie maker: starts helpers that lose their parent and then end, as Chrome's
# do when the driver is killed. Then it counts the zombies that it sees.
n=${1:-50}
i=0
while [ "$i" -lt "$n" ]; do
  (true &)
  i=$((i + 1))
done
# Wait until every helper has ended: none is alive any more.
while ps -eo stat=,comm= | grep -v '^Z' | grep -q ' true$'; do :; done
echo "zombies: $(ps -eo stat= | grep -c '^Z')"
