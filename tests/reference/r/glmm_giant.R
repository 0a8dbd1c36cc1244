# One group of 300 rows beside groups of 3: the likelihood has two maxima, of which the one without a variance is higher.
# Run: Rscript glmm_giant.R  (writes glmm_giant.json beside it)
suppressMessages({library(lme4); library(jsonlite)})
rows <- read.csv("glmm_giant.csv")
fitted <- function(d, start) {
  fit <- suppressWarnings(suppressMessages(glmer(y ~ x + (1 | group), d, family = d$family[1], nAGQ = d$points[1],
    start = list(theta = start), control = glmerControl(tolPwrss = 1e-13, calc.derivs = FALSE))))
  list(start = start, theta = unname(getME(fit, "theta")), loglik = as.numeric(logLik(fit)))
}
found <- lapply(split(rows, rows$name), function(d) {
  each <- lapply(c(0, 0.1, 1, 3), function(start) fitted(d, start))
  best <- each[[which.max(sapply(each, function(one) one$loglik))]]
  c(best, list(ended = sapply(each, function(one) one$loglik), none = as.numeric(logLik(glm(y ~ x, d$family[1], d)))))
})
software <- list(R = as.character(getRversion()), lme4 = as.character(packageVersion("lme4")))
write(toJSON(c(found, list(software = software)), digits = 17, auto_unbox = TRUE, pretty = TRUE), "glmm_giant.json")
