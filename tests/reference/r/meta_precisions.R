# Meta-analysis where one estimate is up to 1e9 times as precise as the others: Rscript meta_precisions.R > meta_precisions.json
# tau2, mean and error only: of Q, and of DL, metafor keeps ever fewer digits (W - W X (X'W X)^-1 X'W); fractions check those.
suppressMessages(library(metafor))
library(jsonlite)
control <- list(threshold = 1e-15, maxiter = 10000, tol = 1e-15)
sets <- list(near = c(0.1, 0, 0.2, -0.15), far = c(0.1, 0, 1.9, -0.8))
found <- list()
for (power in 0:9) for (set in names(sets)) for (method in c("REML", "PM")) {
  r <- suppressWarnings(rma(sets[[set]], sei = c(0.25, 0.3 / 10^power, 0.3, 0.2), method = method, control = control))
  found[[length(found) + 1]] <- list(power = power, set = set, method = method, tau2 = r$tau2, beta = c(r$beta), se = r$se)
}
cat(toJSON(list(software = list(R = R.version.string, metafor = as.character(packageVersion("metafor"))), sets = sets, found = found),
  digits = I(17), auto_unbox = TRUE, pretty = TRUE))
