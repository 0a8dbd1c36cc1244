# Random slopes of binary outcomes and counts at tables where the variances are at, or near, the edge of what they may
# be, or hardly known. Run: Rscript glmm_hard.R  (writes glmm_hard.json beside it)
suppressMessages({library(lme4); library(jsonlite)})
rows <- read.csv("glmm_hard.csv")
fitted <- function(d, optimizer) {
  fit <- suppressWarnings(suppressMessages(glmer(y ~ x + (1 + x | group), d, family = d$family[1],
    control = glmerControl(optimizer = optimizer, calc.derivs = FALSE, optCtrl = list(maxfun = 1e5)))))
  list(optimizer = optimizer, estimate = unname(fixef(fit)), theta = unname(getME(fit, "theta")), loglik = as.numeric(logLik(fit)))
}
found <- lapply(split(rows, rows$name), function(d) {
  each <- lapply(c("bobyqa", "Nelder_Mead"), function(optimizer) fitted(d, optimizer))
  each[[which.max(sapply(each, function(one) one$loglik))]]
})
software <- list(R = as.character(getRversion()), lme4 = as.character(packageVersion("lme4")))
write(toJSON(c(found, list(software = software)), digits = 17, auto_unbox = TRUE, pretty = TRUE), "glmm_hard.json")
