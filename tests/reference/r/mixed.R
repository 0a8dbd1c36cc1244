# Rscript mixed.R: writes mixed.json beside it (Debian: r-cran-lme4, r-cran-jsonlite)
# lmer stops at its optimiser's tolerance, so its answer is the start of Newton steps on its own deviance function here
# (fourth-order differences); `package` holds it as it came.
library(lme4)
library(jsonlite)
rows <- read.csv("grouped.csv")
rows$arm <- factor(rows$arm)

gradient <- function(f, x, h = 1e-3) sapply(seq_along(x), function(i) {
  at <- function(k) { x[i] <- x[i] + k * h; f(x) }
  (at(-2) - 8 * at(-1) + 8 * at(1) - at(2)) / (12 * h)
})
polished <- function(f, x) {
  m <- length(x)
  for (k in 1:10) {
    hessian <- sapply(seq_len(m), function(i) gradient(function(y) gradient(f, y)[i], x))
    x <- x - solve(matrix(hessian, m), gradient(f, x))
  }
  x
}
answer <- function(form, reml) {
  fit <- suppressWarnings(lmer(form, rows, REML = reml, control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9))))
  deviance <- lmer(form, rows, REML = reml, devFunOnly = TRUE)
  theta <- polished(deviance, getME(fit, "theta"))
  loglik <- -deviance(theta) / 2
  env <- environment(deviance)
  beta <- env$pp$beta(1)
  sigma2 <- (env$resp$wrss() + env$pp$sqrL(1)) / (nrow(rows) - if (reml) length(beta) else 0)
  q <- (sqrt(8 * length(theta) + 1) - 1) / 2
  L <- matrix(0, q, q)
  L[lower.tri(L, TRUE)] <- theta
  covariance <- sigma2 * L %*% t(L)
  list(
    estimate = unname(beta), std_error = unname(sqrt(sigma2 * diag(env$pp$unsc()))), sigma2 = sigma2,
    variances = I(diag(covariance)), covariances = I(covariance[lower.tri(covariance)]), loglik = loglik,
    package = list(estimate = unname(fixef(fit)), variances = as.data.frame(VarCorr(fit))$vcov, loglik = as.numeric(logLik(fit)))
  )
}
both <- function(form) list(reml = answer(form, TRUE), ml = answer(form, FALSE))
found <- list(
  software = list(R = R.version.string, lme4 = as.character(packageVersion("lme4"))),
  intercept = both(y ~ age + arm + day + (1 | ward)),
  slope = both(y ~ age + arm + day + (1 + day | ward)),
  site = both(y ~ age + arm + (1 | site))
)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "mixed.json")
