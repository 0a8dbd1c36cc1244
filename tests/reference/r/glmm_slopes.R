# Rscript glmm_slopes.R: writes glmm_slopes.json beside it (Debian: r-cran-lme4, r-cran-jsonlite)
# As glmm.R: glmer with its default nAGQ = 1, then Newton steps on lme4's own deviance function (fourth-order differences).
library(lme4)
library(jsonlite)
rows <- read.csv("grouped.csv")
rows$arm <- factor(rows$arm)
rows$decade <- (rows$age - 60) / 10
gradient <- function(f, x, h = 3e-2) sapply(seq_along(x), function(i) {
  at <- function(k) { x[i] <- x[i] + k * h; f(x) }
  (at(-2) - 8 * at(-1) + 8 * at(1) - at(2)) / (12 * h)
})
answer <- function(form, family) {
  control <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-13, optCtrl = list(rhoend = 1e-9, maxfun = 1e5))
  fit <- suppressWarnings(glmer(form, rows, family = family, control = control))
  se <- sqrt(diag(as.matrix(vcov(fit))))
  deviance <- suppressWarnings(update(fit, devFunOnly = TRUE))
  theta <- getME(fit, "theta")
  first <- c(theta, fixef(fit)); size <- c(rep(0.1, length(theta)), se); m <- length(first)
  f <- function(z) deviance(first + size * z)
  z <- rep(0, m)
  for (k in 1:4) {
    hessian <- sapply(seq_len(m), function(i) gradient(function(y) gradient(f, y)[i], z))
    z <- z - solve((hessian + t(hessian)) / 2, gradient(f, z))
  }
  exact <- first + size * z
  errors <- size * sqrt(diag(2 * solve((hessian + t(hessian)) / 2)))
  k <- length(theta)
  q <- (sqrt(8 * k + 1) - 1) / 2
  L <- matrix(0, q, q); L[lower.tri(L, TRUE)] <- exact[1:k]
  covariance <- L %*% t(L)
  list(
    estimate = unname(exact[-(1:k)]), std_error = unname(errors[-(1:k)]), variances = I(diag(covariance)),
    covariances = I(covariance[lower.tri(covariance)]), loglik = -f(z) / 2,
    package = list(estimate = unname(fixef(fit)), std_error = unname(se), variances = as.data.frame(VarCorr(fit))$vcov[1:q])
  )
}
found <- list(
  software = list(R = R.version.string, lme4 = as.character(packageVersion("lme4"))),
  binomial = answer(event ~ decade + arm + (1 + decade | ward), binomial),
  poisson = answer(visits ~ decade + arm + offset(log(time)) + (1 + decade | ward), poisson)
)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "glmm_slopes.json")
