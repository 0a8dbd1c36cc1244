#!/bin/sh
# Programs that tests need besides Python packages: installed from Debian where they are missing and we are root.
# usage: tools/services.sh PROGRAM...
set -eu
for program in "$@"; do
    if command -v "$program" >/dev/null 2>&1; then continue; fi
    package=$program
    case $program in
        node) package=nodejs ;;
        Rscript) package="r-base-core r-cran-survival r-cran-mass r-cran-nnet r-cran-lme4 r-cran-geepack r-cran-cmprsk r-cran-glmnet r-cran-metafor" ;;
    esac
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "services: installing $package with apt-get" >&2
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $package; } >&2
    else
        echo "services: $program is missing; on Debian: sudo apt-get install $package" >&2
        exit 3
    fi
done
