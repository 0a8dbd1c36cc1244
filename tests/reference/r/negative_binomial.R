# Rscript negative_binomial.R: writes negative_binomial.json beside it (Debian: r-cran-mass, r-cran-jsonlite)
# glm.nb stops at its tolerance, so its answer is the start of more of the same steps here; `package` holds it as it came.
library(MASS)
library(jsonlite)
rows <- read.csv("grouped.csv")
rows$arm <- factor(rows$arm)
answer <- function(form) {
  fit <- glm.nb(form, rows, control = glm.control(epsilon = 1e-12, maxit = 200))
  X <- model.matrix(fit); y <- fit$y
  known <- if (is.null(fit$offset)) 0 else fit$offset
  b <- coef(fit); theta <- fit$theta
  for (i in 1:60) {
    mu <- exp(as.vector(X %*% b) + known)
    w <- mu * theta / (theta + mu)
    b <- b + solve(t(X) %*% (w * X), t(X) %*% (theta * (y - mu) / (theta + mu)))
    mu <- exp(as.vector(X %*% b) + known)
    theta <- theta.ml(y, mu, limit = 100, eps = 1e-15)
  }
  fixed <- as.numeric(theta)
  list(
    estimate = as.vector(b), std_error = unname(sqrt(diag(solve(t(X) %*% (mu * fixed / (fixed + mu) * X))))),
    theta = fixed, theta_error = attr(theta, "SE"), loglik = sum(dnbinom(y, size = fixed, mu = mu, log = TRUE)),
    deviance = sum(negative.binomial(fixed)$dev.resids(y, mu, 1)),
    package = list(estimate = unname(coef(fit)), std_error = unname(sqrt(diag(vcov(fit)))), theta = fit$theta, theta_error = fit$SE.theta)
  )
}
found <- list(
  software = list(R = R.version.string, MASS = as.character(packageVersion("MASS"))),
  plain = answer(falls ~ age + arm + day),
  offset = answer(falls ~ age + arm + offset(log(time)))
)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "negative_binomial.json")
