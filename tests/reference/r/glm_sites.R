# Rscript glm_sites.R: writes glm_sites.json beside it (Debian: r-cran-sandwich, r-cran-jsonlite)
library(sandwich)
library(jsonlite)
rows <- read.csv("cohort.csv")
rows$rate <- log(rows$years)
tight <- glm.control(epsilon = 1e-15, maxit = 100)
site <- "factor(site)"
both <- "factor(site):factor(sex) + factor(site) + factor(sex)"
models <- list(
  logit = list(f = "ill ~ age + dose + arm", s = site, family = binomial(), o = NULL, w = NULL),
  poisson = list(f = "visits ~ age + dose + arm", s = site, family = poisson(), o = rows$rate, w = NULL),
  gaussian = list(f = "bp ~ age + dose + arm", s = site, family = gaussian(), o = NULL, w = NULL),
  gaussian_offset = list(f = "bp ~ age + arm", s = site, family = gaussian(), o = rows$dose * 3, w = NULL),
  logit_sex = list(f = "ill ~ age + arm", s = both, family = binomial(), o = rows$rate / 4, w = NULL),
  quasipoisson = list(f = "visits ~ age + arm", s = site, family = quasipoisson(), o = NULL, w = NULL),
  precision = list(f = "bp ~ age + dose + arm", s = site, family = gaussian(), o = NULL, w = rows$w)
)
found <- lapply(models, function(m) {
  f <- as.formula(paste(m$f, "+", m$s))
  again <- function(start) do.call(glm, list(formula = f, family = m$family, data = rows, offset = m$o, weights = m$w, control = tight, start = start))
  fit <- again(coef(again(NULL))) # one more step at the answer
  kept <- !grepl("site|Intercept|sex", names(coef(fit)))
  root <- function(v) unname(sqrt(diag(v)))[kept]
  likelihood <- if (is.na(logLik(fit))) NULL else list(loglik = as.numeric(logLik(fit)), aic = AIC(fit))
  c(list(
    estimate = unname(coef(fit))[kept], std_error = root(vcov(fit)), hc0 = root(vcovHC(fit, type = "HC0")),
    hc1 = root(vcovHC(fit, type = "HC1")), deviance = deviance(fit), null_deviance = fit$null.deviance,
    df_residual = df.residual(fit), df_null = fit$df.null, dispersion = summary(fit)$dispersion
  ), likelihood)
})
# A site without an event: R's answer without its rows, which is the limit
rows$gone <- ifelse(rows$site == 1, 0, rows$ill)
fit <- glm(gone ~ age + dose + arm + factor(site), binomial(), rows[rows$site != 1, ], control = tight)
kept <- !grepl("site|Intercept", names(coef(fit)))
found$no_events <- list(estimate = unname(coef(fit))[kept], std_error = unname(sqrt(diag(vcov(fit))))[kept], deviance = deviance(fit), df_residual = df.residual(fit) + sum(rows$site == 1) - 1)
found$software <- list(R = R.version.string, sandwich = as.character(packageVersion("sandwich")))
write(toJSON(found, digits = 17, auto_unbox = TRUE), "glm_sites.json")
