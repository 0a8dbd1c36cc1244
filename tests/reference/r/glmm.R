# Rscript glmm.R: writes glmm.json beside it (Debian: r-cran-lme4, r-cran-jsonlite)
# glmer stops at its optimiser's tolerance, so its answer is the start of Newton steps on its own deviance function here
# (fourth-order differences, in standard errors); `package` holds it as it came. `loglik` of counts with nAGQ above 1 leaves
# constants out in lme4.
library(lme4)
library(jsonlite)
rows <- read.csv("grouped.csv")
rows$arm <- factor(rows$arm)
gradient <- function(f, x, h = 3e-2) sapply(seq_along(x), function(i) {
  at <- function(k) { x[i] <- x[i] + k * h; f(x) }
  (at(-2) - 8 * at(-1) + 8 * at(1) - at(2)) / (12 * h)
})
answer <- function(form, family, points) {
  control <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-13, optCtrl = list(rhoend = 1e-9, maxfun = 1e5))
  fit <- suppressWarnings(glmer(form, rows, family = family, nAGQ = points, control = control))
  se <- sqrt(diag(as.matrix(vcov(fit))))
  deviance <- suppressWarnings(update(fit, devFunOnly = TRUE))
  first <- c(getME(fit, "theta"), fixef(fit)); size <- c(0.1, se); m <- length(first)
  f <- function(z) deviance(first + size * z)
  z <- rep(0, m)
  for (k in 1:4) {
    hessian <- sapply(seq_len(m), function(i) gradient(function(y) gradient(f, y)[i], z))
    z <- z - solve((hessian + t(hessian)) / 2, gradient(f, z))
  }
  exact <- first + size * z
  errors <- size * sqrt(diag(2 * solve((hessian + t(hessian)) / 2)))
  list(
    estimate = unname(exact[-1]), std_error = unname(errors[-1]), variance = unname(exact[1]^2), loglik = -f(z) / 2,
    package = list(estimate = unname(fixef(fit)), std_error = unname(se), variance = as.data.frame(VarCorr(fit))$vcov)
  )
}
both <- function(form, family) list(laplace = answer(form, family, 1), nine = answer(form, family, 9))
found <- list(
  software = list(R = R.version.string, lme4 = as.character(packageVersion("lme4"))),
  binomial = both(event ~ age + arm + (1 | ward), binomial),
  poisson = both(visits ~ age + arm + offset(log(time)) + (1 | ward), poisson)
)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "glmm.json")
