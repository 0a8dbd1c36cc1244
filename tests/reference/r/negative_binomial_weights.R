# Rscript negative_binomial_weights.R: writes negative_binomial_weights.json beside it (Debian: r-cran-mass, r-cran-sandwich, r-cran-jsonlite)
# glm.nb stops at its tolerance, so more of its own steps follow: glm at theta, theta.ml at the means.
library(MASS)
library(sandwich)
library(jsonlite)
rows <- read.csv("cohort.csv")
rows$rate <- log(rows$years)
rows$falls <- rows$visits + (rows$visits > 2) * rows$times # more spread than a Poisson count
tight <- glm.control(epsilon = 1e-15, maxit = 100)
answer <- function(form, w, data = rows) {
  data$w_ <- if (is.null(w)) 1 else w
  form <- as.formula(form)
  fit <- glm.nb(form, data, weights = w_, control = glm.control(epsilon = 1e-12, maxit = 200))
  theta <- fit$theta
  start <- coef(fit)
  for (i in 1:60) {
    at <- glm(form, negative.binomial(theta), data, weights = w_, control = tight, start = start)
    start <- coef(at)
    theta <- as.numeric(theta.ml(at$y, fitted(at), sum(data$w_), data$w_, limit = 100, eps = 1e-15))
  }
  best <- glm(form, negative.binomial(theta), data, weights = w_, control = tight, start = start)
  kept <- !grepl("site", names(coef(best)))
  if (any(!kept)) kept <- kept & !grepl("Intercept", names(coef(best)))
  root <- function(v) unname(sqrt(diag(v)))[kept]
  se <- attr(theta.ml(best$y, fitted(best), sum(data$w_), data$w_, limit = 100, eps = 1e-15), "SE")
  list(
    estimate = unname(coef(best))[kept], std_error = root(summary(best, dispersion = 1)$cov.scaled),
    HC0 = root(vcovHC(best, type = "HC0")), HC1 = root(vcovHC(best, type = "HC1")),
    HC2 = root(vcovHC(best, type = "HC2")), HC3 = root(vcovHC(best, type = "HC3")),
    cluster = root(vcovCL(best, cluster = data$gp, type = "HC0", cadjust = FALSE)),
    theta = theta, theta_error = se, deviance = deviance(best),
    loglik = sum(data$w_ * dnbinom(best$y, size = theta, mu = fitted(best), log = TRUE)), df_residual = df.residual(best)
  )
}
found <- list(
  plain = answer("falls ~ age + dose + arm", NULL),
  precision = answer("falls ~ age + dose + arm", rows$w),
  offset = answer("falls ~ age + arm + offset(rate)", rows$w),
  frequency = answer("falls ~ age + arm", NULL, rows[rep(seq_len(nrow(rows)), rows$times), ]),
  site = answer("falls ~ age + dose + arm + factor(site)", NULL),
  site_weights = answer("falls ~ age + arm + factor(site) + offset(rate)", rows$w)
)
found$software <- list(R = R.version.string, MASS = as.character(packageVersion("MASS")), sandwich = as.character(packageVersion("sandwich")))
write(toJSON(found, digits = 17, auto_unbox = TRUE), "negative_binomial_weights.json")
