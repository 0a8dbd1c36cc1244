# Rscript glm_weights.R: writes glm_weights.json beside it (Debian: r-cran-sandwich, r-cran-jsonlite)
library(sandwich)
library(jsonlite)
rows <- read.csv("cohort.csv")
rows$rate <- log(rows$years)
tight <- glm.control(epsilon = 1e-15, maxit = 100)
models <- list(
  offset = list(f = visits ~ age + dose + arm, family = poisson(), offset = rows$rate, w = NULL),
  offset_logit = list(f = ill ~ age + arm, family = binomial(), offset = rows$rate / 4, w = NULL),
  offset_identity = list(f = bp ~ age + arm, family = gaussian(), offset = rows$dose * 3, w = NULL),
  offset_gamma = list(f = cost ~ age + dose, family = Gamma("log"), offset = rows$rate / 4, w = NULL),
  precision = list(f = bp ~ age + dose + arm, family = gaussian(), offset = NULL, w = rows$w),
  precision_logit = list(f = ill ~ age + dose + arm, family = quasibinomial(), offset = NULL, w = rows$w),
  precision_offset = list(f = visits ~ age + arm, family = poisson(), offset = rows$rate, w = rows$w),
  plain = list(f = bp ~ age + dose + arm, family = gaussian(), offset = NULL, w = NULL),
  plain_logit = list(f = ill ~ age + dose + arm, family = binomial(), offset = NULL, w = NULL),
  plain_probit = list(f = ill ~ age + arm, family = binomial("probit"), offset = NULL, w = NULL)
)
fitted_ <- function(m, data = rows) {
  fit <- do.call(glm, list(formula = m$f, family = m$family, data = data, offset = m$offset, weights = m$w, control = tight))
  # one more step at the answer, so that errors are those of the last coefficients
  do.call(glm, list(formula = m$f, family = m$family, data = data, offset = m$offset, weights = m$w, control = tight, start = coef(fit)))
}
root <- function(v) unname(sqrt(diag(v)))
found <- lapply(models, function(m) {
  fit <- fitted_(m)
  list(
    estimate = unname(coef(fit)), std_error = unname(summary(fit)$coefficients[, 2]),
    hc0 = root(vcovHC(fit, type = "HC0")), cluster = root(vcovCL(fit, cluster = rows$gp, type = "HC0", cadjust = FALSE)),
    deviance = deviance(fit), null_deviance = fit$null.deviance
  )
})
# A frequency weight stands for as many equal rows
whole <- rows[rep(seq_len(nrow(rows)), rows$times), ]
fit <- fitted_(list(f = ill ~ age + dose + arm, family = binomial(), offset = NULL, w = NULL), whole)
found$frequency <- list(
  estimate = unname(coef(fit)), std_error = root(vcov(fit)), hc0 = root(vcovHC(fit, type = "HC0")),
  cluster = root(vcovCL(fit, cluster = whole$gp, type = "HC0", cadjust = FALSE)),
  deviance = deviance(fit), null_deviance = fit$null.deviance, n = nrow(whole)
)
# Sites as clusters: 12 of them
rows$clinic <- (as.integer(factor(rows$gp)) - 1) %% 12
fit <- fitted_(models$plain_logit)
found$clinics <- list(estimate = unname(coef(fit)), cluster = root(vcovCL(fit, cluster = rows$clinic, type = "HC0", cadjust = FALSE)))
found$software <- list(R = R.version.string, sandwich = as.character(packageVersion("sandwich")))
write(toJSON(found, digits = 17, auto_unbox = TRUE), "glm_weights.json")
