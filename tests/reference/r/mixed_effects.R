# Rscript mixed_effects.R: writes mixed_effects.json beside it (Debian: r-cran-lme4, r-cran-jsonlite)
# Effects of single sites. lmer stops at its optimiser's tolerance, so theta is polished by Newton steps on its own deviance
# function (as in mixed.R) and the effects follow from their formula there; `package` holds ranef(condVar = TRUE) as it came.
library(lme4)
library(jsonlite)
rows <- read.csv("grouped.csv")
rows$arm <- factor(rows$arm)
rows$visits2 <- rows$visits + 2 * rows$site
rows$y2 <- rows$y + c(4, -3, 1)[rows$site + 1] + c(0.8, 0.5, -1.2)[rows$site + 1] * rows$day
rows$site <- factor(rows$site)
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
package <- function(fit) {
  found <- ranef(fit, condVar = TRUE)$site
  list(estimate = unname(as.matrix(found)), std_error = t(apply(attr(found, "postVar"), 3, function(v) sqrt(diag(as.matrix(v))))))
}
answer <- function(form, columns) {
  control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9))
  fit <- suppressWarnings(suppressMessages(lmer(form, rows, control = control)))
  deviance <- lmer(form, rows, devFunOnly = TRUE)
  theta <- polished(deviance, getME(fit, "theta"))
  deviance(theta)
  env <- environment(deviance)
  beta <- env$pp$beta(1)
  sigma2 <- (env$resp$wrss() + env$pp$sqrL(1)) / (nrow(rows) - length(beta))
  q <- length(columns)
  L <- matrix(0, q, q); L[lower.tri(L, TRUE)] <- theta
  each <- lapply(levels(rows$site), function(s) {
    here <- rows$site == s
    Z <- do.call(cbind, lapply(columns, function(n) if (n == "1") rep(1, sum(here)) else rows[here, n]))
    r <- rows[here, all.vars(form)[1]] - getME(fit, "X")[here, ] %*% beta
    spread <- L %*% solve(diag(q) + t(L) %*% t(Z) %*% Z %*% L) %*% t(L)
    list(estimate = c(spread %*% t(Z) %*% r), std_error = sqrt(sigma2 * diag(spread)))
  })
  list(estimate = do.call(rbind, lapply(each, `[[`, "estimate")), std_error = do.call(rbind, lapply(each, `[[`, "std_error")),
       package = package(fit))
}
control <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-13, optCtrl = list(rhoend = 1e-9, maxfun = 1e5))
counts <- suppressWarnings(glmer(visits2 ~ age + arm + (1 | site), rows, family = poisson, nAGQ = 1, control = control))
write(toJSON(list(
  software = list(R = R.version.string, lme4 = as.character(packageVersion("lme4"))),
  sites = levels(rows$site),
  intercept = answer(y ~ age + arm + (1 | site), "1"),
  slope = answer(y2 ~ age + arm + day + (1 + day | site), c("1", "day")),
  poisson = list(package = package(counts))
), digits = 17, auto_unbox = TRUE), "mixed_effects.json")
