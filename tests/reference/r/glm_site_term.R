# Rscript glm_site_term.R: writes glm_site_term.json beside it (Debian: r-cran-sandwich, r-cran-jsonlite)
# y ~ x + factor(site) of every family and link; the errors of the coefficients that are not the site's.
library(sandwich)
library(jsonlite)
rows <- read.csv("cohort.csv")
rows$rate <- log(rows$years)
tight <- glm.control(epsilon = 1e-15, maxit = 200)
near <- function(f, family, start) list(f = f, family = family, o = NULL, w = NULL, start = start)
plain <- function(f, family) near(f, family, NULL)
models <- list(
  gaussian = plain("bp ~ age + dose + arm", gaussian()),
  logit = plain("ill ~ age + dose + arm", binomial()),
  probit = plain("ill ~ age + dose + arm", binomial("probit")),
  cloglog = plain("ill ~ age + arm", binomial("cloglog")),
  log_binomial = near("ill ~ dose + arm", binomial("log"), c(-1.5, 0, 0, 0, 0)),
  share = near("ill ~ arm", binomial("identity"), c(0.4, 0, 0, 0)),
  poisson = plain("visits ~ age + dose + arm", poisson()),
  poisson_identity = near("visits ~ dose + arm", poisson("identity"), c(2, 0, 0, 0, 0)),
  gamma = plain("cost ~ age + arm", Gamma()),
  gamma_log = plain("cost ~ age + dose + arm", Gamma("log")),
  inverse_gaussian_log = plain("cost ~ age + dose", inverse.gaussian("log")),
  inverse_gaussian_inverse = plain("cost ~ arm", inverse.gaussian("inverse")),
  inverse_gaussian = plain("cost ~ arm", inverse.gaussian()),
  quasibinomial = plain("ill ~ age + arm", quasibinomial("probit")),
  probit_offset = list(f = "ill ~ age + arm", family = binomial("probit"), o = rows$rate / 4, w = NULL, start = NULL),
  gamma_weights = list(f = "cost ~ age + dose + arm", family = Gamma("log"), o = NULL, w = rows$w, start = NULL)
)
again <- function(m, start, data = rows) {
  f <- as.formula(paste(m$f, "+ factor(site)"))
  do.call(glm, list(formula = f, family = m$family, data = data, offset = m$o, weights = m$w, control = tight, start = start))
}
told <- function(m, data = rows) {
  fit <- again(m, m$start, data)
  for (i in 1:3) fit <- again(m, coef(fit), data) # more steps at the answer
  kept <- !grepl("site|Intercept", names(coef(fit)))
  root <- function(v) unname(sqrt(diag(v)))[kept]
  likelihood <- if (is.na(logLik(fit))) NULL else list(loglik = as.numeric(logLik(fit)), aic = AIC(fit))
  c(list(
    estimate = unname(coef(fit))[kept], std_error = root(vcov(fit)),
    HC0 = root(vcovHC(fit, type = "HC0")), HC1 = root(vcovHC(fit, type = "HC1")),
    HC2 = root(vcovHC(fit, type = "HC2")), HC3 = root(vcovHC(fit, type = "HC3")),
    cluster = root(vcovCL(fit, cluster = data$gp, type = "HC0", cadjust = FALSE)),
    deviance = deviance(fit), null_deviance = fit$null.deviance, df_residual = df.residual(fit),
    dispersion = summary(fit)$dispersion
  ), likelihood)
}
found <- lapply(models, told)
# A frequency weight stands for as many equal rows
found$frequency <- told(plain("ill ~ age + dose + arm", binomial("probit")), rows[rep(seq_len(nrow(rows)), rows$times), ])
# Sites as clusters: the cohort cut into twelve
rows$site <- rep(0:11, length.out = nrow(rows))
fit <- lm(bp ~ age + dose + arm + factor(site), rows)
kept <- !grepl("site|Intercept", names(coef(fit)))
found$by_site <- list(cluster = unname(sqrt(diag(vcovCL(fit, cluster = rows$site, type = "HC0", cadjust = FALSE))))[kept])
found$software <- list(R = R.version.string, sandwich = as.character(packageVersion("sandwich")))
write(toJSON(found, digits = 17, auto_unbox = TRUE), "glm_site_term.json")
