# Rscript cumulative_incidence.R: writes cumulative_incidence.json beside it (Debian: r-cran-cmprsk, r-cran-jsonlite)
library(cmprsk)
library(jsonlite)
rows <- read.csv("competing.csv")
fit <- cuminc(rows$time, rows$cause, rows$group)
at <- timepoints(fit, c(20, 50, 100, 150))
found <- list(
  software = list(R = R.version.string, cmprsk = as.character(packageVersion("cmprsk"))),
  times = c(20, 50, 100, 150), curves = rownames(at$est), estimates = at$est, variances = at$var, tests = fit$Tests
)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "cumulative_incidence.json")
